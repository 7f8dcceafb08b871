"""Addresses of files that every image contains, the same on every machine."""

from __future__ import annotations

from typing import Final

from pipeline import SCHEMA_FILE
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate

_SCHEME: Final = "installed://"
SCHEMA: Final = f"{_SCHEME}schema"
MOVIELENS_100K: Final = f"{_SCHEME}ml-100k"


def path(uri: str) -> str:
    """Returns the file or folder of an address on this machine, and any other URI unchanged.

    Raises:
        UserError: This machine lacks the file.
    """
    if uri == SCHEMA:
        return str(SCHEMA_FILE)
    if uri == MOVIELENS_100K:
        return str(locate(DataConfig()))
    return uri
