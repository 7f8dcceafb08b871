"""The numbered versions of a model in the folder that a model server watches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MAX_VERSION: Final = 10**18 - 1
"""Highest version, so that one more still fits the int64 of a request."""

# Python refuses to read a number of thousands of digits.
_MAX_DIGITS: Final = 255


def version_number(name: str) -> int | None:
    """Returns the version that a folder's name stands for, or None if it is no version.

    A version is named by decimal digits alone, with leading zeros or not, up to `MAX_VERSION`.
    """
    # Python also takes digits of other scripts for decimal.
    if not (name.isascii() and name.isdecimal() and len(name) <= _MAX_DIGITS):
        return None
    number = int(name)
    return number if number <= MAX_VERSION else None


def versions(folder: Path) -> list[Path]:
    """Returns the folders of complete versions, or symbolic links to them, oldest first.

    Of several names for one number, such as 7 and 007, the shortest counts, as in TensorFlow
    Serving.
    """
    if not folder.is_dir():
        return []
    complete = {
        number: entry
        for entry in sorted(folder.iterdir(), key=lambda entry: len(entry.name), reverse=True)
        if (number := version_number(entry.name)) is not None
        and (entry / "saved_model.pb").is_file()
    }
    return [complete[number] for number in sorted(complete)]


def newest_version(folder: Path) -> Path | None:
    """Returns the folder of the newest complete version, or None if there is none."""
    return next(reversed(versions(folder)), None)
