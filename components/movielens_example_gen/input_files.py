"""The files of an edition, on this machine or in cloud storage."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator

from tfx.dsl.io import fileio

from components.errors import DataError

_BLOCK = 1 << 20


def fingerprint(files: Iterable[str]) -> str:
    """Returns the SHA-256 over the names and the content of files, in the given order."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(os.path.basename(path).encode() + b"\0")
        with fileio.open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def paths(folder: str, names: Iterable[str]) -> list[str]:
    """Returns the paths of files in a folder.

    Raises:
        DataError: A file is not in the folder.
    """
    by_name = {name: os.path.join(folder, name) for name in names}
    missing = [name for name, path in by_name.items() if not fileio.exists(path)]
    if missing:
        raise DataError(f"{', '.join(missing)}: not found in {folder}")
    return list(by_name.values())


@contextlib.contextmanager
def local_folder(folder: str, names: Iterable[str]) -> Iterator[str]:
    """Yields the folder itself or, for cloud storage, a temporary copy of its files.

    Raises:
        DataError: A file is not in the cloud's folder.
    """
    if "://" not in folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as copy:
        for path in paths(folder, names):
            fileio.copy(path, os.path.join(copy, os.path.basename(path)))
        yield copy
