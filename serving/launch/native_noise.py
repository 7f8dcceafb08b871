"""What libraries in C++ say of themselves while they are loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced() -> Iterator[None]:
    """Drops what is written to the descriptor of standard error; `sys.stderr` still arrives there.

    TensorFlow's first lines come before any of its settings could hold them back.
    """
    sys.stderr.flush()
    descriptor = os.dup(2)
    python = sys.stderr
    with (
        open(os.devnull, "wb") as nowhere,
        os.fdopen(descriptor, "w", encoding="utf-8", buffering=1) as screen,
    ):
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = screen
        try:
            yield
        finally:
            sys.stderr = python
            os.dup2(descriptor, 2)
