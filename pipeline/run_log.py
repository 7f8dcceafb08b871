"""Sends the logs of TensorFlow and Beam to a file and keeps them off the screen."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import absl.logging

# Steps that run at once have processes of their own, named after them.
_FORMAT = "%(asctime)s %(processName)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def redirected(log: Path, verbose: bool = False) -> Iterator[IO[str]]:
    """Sends standard output, standard error and all logging to a file.

    The file descriptors themselves are redirected, since C++ code writes to them directly.

    Args:
        log: File to append to.
        verbose: Whether everything is shown on standard error as well; the file then has only
            Python's logging.

    Yields:
        Standard error of the terminal, for messages to the user.
    """
    logging.captureWarnings(True)
    with open(log, "a", encoding="utf-8", buffering=1) as file:
        handlers: list[logging.Handler] = [logging.StreamHandler(file)]
        if verbose:
            handlers.append(logging.StreamHandler(sys.stderr))
        logging.basicConfig(level=logging.INFO, format=_FORMAT, handlers=handlers, force=True)
        # When TensorFlow saves a model, it resets absl's level to the one set here.
        absl.logging.set_verbosity(absl.logging.INFO)
        try:
            if verbose:
                yield sys.stderr
            else:
                with _descriptors_sent_to(file) as screen:
                    yield screen
        finally:
            # Handlers of the file would write to it after it is closed.
            logging.basicConfig(level=logging.WARNING, format=_FORMAT, force=True)


@contextmanager
def _descriptors_sent_to(file: IO[str]) -> Iterator[IO[str]]:
    """Redirects standard output and standard error, and yields the former standard error."""
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


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
