"""The versions of a model in the folder that a model server watches."""

from __future__ import annotations

from pathlib import Path


def version_number(name: str) -> int | None:
    """The version that a folder of this name is; None for any other folder."""
    # Other digits than these are decimal too, for Python.
    return int(name) if name.isascii() and name.isdecimal() else None


def versions(folder: Path) -> list[Path]:
    """The folders of complete versions, oldest first."""
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
    """The version that a model server serves, or None."""
    return next(reversed(versions(folder)), None)
