"""The files of an edition as content, wherever they are kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator

from tfx.dsl.io import fileio

from components.errors import DataError

_BLOCK = 1 << 20


def fingerprint(paths: Iterable[str]) -> str:
    """SHA-256 over the names and the content of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(os.path.basename(path).encode() + b"\0")
        with fileio.open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def present(folder: str, names: Iterable[str]) -> list[str]:
    """The paths of the files.

    Raises:
        DataError: one is not in the folder.
    """
    paths = {name: os.path.join(folder, name) for name in names}
    missing = [name for name, path in paths.items() if not fileio.exists(path)]
    if missing:
        raise DataError(f"{', '.join(missing)}: not found in {folder}")
    return list(paths.values())


@contextlib.contextmanager
def local_folder(folder: str, names: Iterable[str]) -> Iterator[str]:
    """The folder itself, or for one in a cloud's storage a copy of its files on this machine.

    Raises:
        DataError: a file is not in the cloud's folder.
    """
    if "://" not in folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as copy:
        for path in present(folder, names):
            fileio.copy(path, os.path.join(copy, os.path.basename(path)))
        yield copy
