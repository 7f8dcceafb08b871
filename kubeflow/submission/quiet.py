"""Keeps what the platforms' clients print and log off the screen."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps quiet whatever is called meanwhile."""
    earlier = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(earlier)


def one_line(text: object, longest: int = 400) -> str:
    """What a client says, on one line and not endless."""
    words = " ".join(str(text).split())
    return words if len(words) <= longest else words[: longest - 1] + "…"
