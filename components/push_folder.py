"""The folder of pushed versions, on this machine or in a cloud's storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from tfx.dsl.io import fileio

from serving.versions import version_number

_SAVED_MODEL: Final = "saved_model.pb"


def newest_first(folder: str) -> Iterator[str]:
    """The versions of the folder, complete or not; none where there is no folder.

    Whatever its file system raises where it cannot read is left to the caller: there is no
    version only where it says that there is none.
    """
    # TensorFlow's isdir says no where it cannot tell; exists does not, and listdir then fails.
    if not fileio.exists(folder):
        return
    # A cloud's storage ends the names of folders with a slash.
    names = (name.rstrip("/") for name in fileio.listdir(folder))
    numbers = {name: version_number(name) for name in names}
    found = {name: number for name, number in numbers.items() if number is not None}
    for name in sorted(found, key=found.__getitem__, reverse=True):
        yield os.path.join(folder, name)


def is_complete(version: str) -> bool:
    """Whether all of a version is there: what is copied last."""
    return bool(fileio.exists(os.path.join(version, _SAVED_MODEL)))
