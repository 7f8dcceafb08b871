"""Locks by which a running server says which versions it was told to keep, beside the newest.

A lock ends with the process that holds it, however that ends, so none is left behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def held(versions: Iterable[Path]) -> Iterator[None]:
    """Marks the folders of versions as needed for the time of the block.

    Where a file system has no locks, nothing is marked.
    """
    with ExitStack() as descriptors:
        for version in versions:
            descriptor = os.open(version, os.O_RDONLY)
            descriptors.callback(os.close, descriptor)
            _lock(descriptor, fcntl.LOCK_SH)
        yield


def is_held(version: Path) -> bool:
    """Returns whether a process of this machine has marked the folder of a version."""
    descriptor = os.open(version, os.O_RDONLY)
    try:
        return not _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    """Returns whether a lock could be had at once; it can where there are no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)
    return True
