"""Files that every image has, by an address that is the same on every machine."""

from __future__ import annotations

from typing import Final

from pipeline import SCHEMA_FILE
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate

_SCHEME: Final = "installed://"
SCHEMA: Final = f"{_SCHEME}schema"
MOVIELENS_100K: Final = f"{_SCHEME}ml-100k"


def path(uri: str) -> str:
    """The file or folder on this machine; anything but such an address stays what it is.

    Raises:
        UserError: this machine lacks it.
    """
    if uri == SCHEMA:
        return str(SCHEMA_FILE)
    if uri == MOVIELENS_100K:
        return str(locate(DataConfig()))
    return uri
