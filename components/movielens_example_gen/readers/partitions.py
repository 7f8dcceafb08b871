"""Values in the names of folders, as Hive and Spark write them: `date=2026-11-22/part-0.csv`."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import unquote

_FOLDER: Final = re.compile(r"(?P<column>[^=/.]+)=(?P<value>[^/]+)")
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


def is_folder(name: str) -> bool:
    """Returns whether a folder's name has the value of a column."""
    return _FOLDER.fullmatch(name) is not None


def name_in(path: str) -> str:
    """Returns the name of a file, with the folders right above it that have values.

    Args:
        path: Path of the file below `data.path`, or in an archive. A folder further out is none of
            a table's, whatever its name.
    """
    *folders, name = path.split("/")
    while folders and is_folder(folders[-1]):
        name = f"{folders.pop()}/{name}"
    return name


def values(name: str) -> dict[str, str | None]:
    """Returns the values in the folders of a name that `name_in` returned, by column."""
    matches = [_FOLDER.fullmatch(folder) for folder in os.path.dirname(name).split("/")]
    return {
        match["column"]: None if match["value"] == _NULL else unquote(match["value"])
        for match in matches
        if match
    }
