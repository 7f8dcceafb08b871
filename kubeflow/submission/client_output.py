"""What the platforms' own clients print, log and report."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO


@contextmanager
def silenced() -> Iterator[None]:
    """Hides everything that is printed, logged or warned inside the context."""
    earlier = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(earlier)


def one_line(text: object, longest: int = 400) -> str:
    """Returns a client's message on one line, cut to `longest` characters."""
    words = " ".join(str(text).split())
    return words if len(words) <= longest else words[: longest - 1] + "…"
