"""The folder of pushed versions, on this machine or in cloud storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from tfx.dsl.io import fileio

from serving.versions import version_number

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
