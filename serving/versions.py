"""The versions of a model in the folder that a model server watches."""

from __future__ import annotations

from pathlib import Path


def versions(folder: Path) -> list[Path]:
    """The folders of complete versions, oldest first."""
    if not folder.is_dir():
        return []
    complete = [
        entry
        for entry in folder.iterdir()
        if entry.name.isdigit() and (entry / "saved_model.pb").is_file()
    ]
    return sorted(complete, key=lambda entry: int(entry.name))


def newest_version(folder: Path) -> Path | None:
    """The version that a model server serves, or None."""
    return next(reversed(versions(folder)), None)
