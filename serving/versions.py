"""The numbered versions of a model in the folder that a model server watches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MAX_VERSION: Final = 10**18 - 1
"""Highest version, so that one more still fits the int64 of a request."""


def version_number(name: str) -> int | None:
    """Returns the version that a folder's name stands for, or None if it is no version."""
    # Python also takes digits of other scripts for decimal.
    number = int(name) if name.isascii() and name.isdecimal() else None
    # A number that is too high would leave none for the next push.
    return number if number is not None and number <= MAX_VERSION else None


def versions(folder: Path) -> list[Path]:
    """Returns the folders of complete versions, oldest first."""
    if not folder.is_dir():
        return []
    numbers = {entry: version_number(entry.name) for entry in folder.iterdir()}
    complete = {
        entry: number
        for entry, number in numbers.items()
        if number is not None and (entry / "saved_model.pb").is_file()
    }
    return sorted(complete, key=complete.__getitem__)


def newest_version(folder: Path) -> Path | None:
    """Returns the folder of the newest complete version, or None if there is none."""
    return next(reversed(versions(folder)), None)
