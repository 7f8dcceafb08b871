"""Keeps the noise of TensorFlow and Beam off the screen and in a file."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import absl.logging

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def redirected(log: Path, verbose: bool = False) -> Iterator[IO[str]]:
    """Sends standard output, standard error and all logging to a file.

    The file descriptors themselves are redirected, since C++ code writes to them directly.

    Args:
        log: the file; appended to.
        verbose: shows everything on standard error as well; then only Python's logging is in
            the file.

    Yields:
        The terminal's standard error, for what a person shall see.
    """
    logging.captureWarnings(True)
    with open(log, "a", encoding="utf-8", buffering=1) as file:
        handlers: list[logging.Handler] = [logging.StreamHandler(file)]
        if verbose:
            handlers.append(logging.StreamHandler(sys.stderr))
        logging.basicConfig(level=logging.INFO, format=_FORMAT, handlers=handlers, force=True)
        # TensorFlow's saving of a model "restores" absl's level to what was set here.
        absl.logging.set_verbosity(absl.logging.INFO)
        if verbose:
            yield sys.stderr
            return
        saved = [(stream, os.dup(stream.fileno())) for stream in (sys.stdout, sys.stderr)]
        screen = os.fdopen(os.dup(saved[1][1]), "w", encoding="utf-8", buffering=1)
        try:
            _flush()
            for stream, _ in saved:
                os.dup2(file.fileno(), stream.fileno())
            yield screen
        finally:
            _flush()
            for stream, descriptor in saved:
                os.dup2(descriptor, stream.fileno())
                os.close(descriptor)
            screen.close()
            logging.basicConfig(level=logging.WARNING, format=_FORMAT, force=True)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
