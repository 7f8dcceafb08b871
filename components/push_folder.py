"""The folder of pushed versions, on this machine or in cloud storage."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tfx.dsl.io import fileio

from serving.versions import version_number

INCOMING: Final = ".incoming-"
"""Start of the name of a copy that is not a version yet, which model servers pass over."""

_SAVED_MODEL: Final = "saved_model.pb"


def newest_first(folder: str) -> Iterator[str]:
    """Yields the path of each version, complete or not; none if the folder does not exist.

    Errors of the file system are not caught: a folder that cannot be read is not an empty one.
    """
    # TensorFlow's isdir answers no if it cannot tell; exists does not, and listdir then fails.
    if not fileio.exists(folder):
        return
    # Cloud storage ends the names of folders with a slash.
    names = (name.rstrip("/") for name in fileio.listdir(folder))
    numbers = {name: version_number(name) for name in names}
    versions = {name: number for name, number in numbers.items() if number is not None}
    for name in sorted(versions, key=versions.__getitem__, reverse=True):
        yield os.path.join(folder, name)


def is_complete(version: str) -> bool:
    """Returns whether the file that is copied last is there, and so the whole version."""
    return bool(fileio.exists(os.path.join(version, _SAVED_MODEL)))


def is_remote(folder: str) -> bool:
    """Returns whether a folder is in cloud storage, which has neither locks nor renames."""
    return "://" in folder


@contextmanager
def locked(folder: str, wait: bool = True) -> Iterator[bool]:
    """Keeps other pushes out of a folder of this machine inside the block, and makes the folder.

    The lock ends with the process that holds it, however that ends.

    Args:
        folder: Folder of the versions.
        wait: Whether another push is waited for.

    Yields:
        Whether the folder is locked. It is not if another push holds it and is not waited for, or
        on a file system without locks.
    """
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            logging.info("%s: not locked (%s)", folder, error.strerror)
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def abandoned(folder: str) -> list[Path]:
    """Returns the copies that killed pushes left; the folder must be locked."""
    return sorted(Path(folder).glob(f"{INCOMING}*"))


def write_to_disk(folder: str) -> None:
    """Waits until all files and folders below a folder are on the disk, so a crash loses none."""
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(os.path.join(parent, name))
        _sync(parent)


def rename(source: str, target: str) -> None:
    """Renames a folder, and waits until the new name is on the disk.

    Raises:
        OSError: There is a folder of this name, with something in it.
    """
    os.rename(source, target)
    _sync(os.path.dirname(target))


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
