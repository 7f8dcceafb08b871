"""A place for a UNIX socket that nobody but this user can reach."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

_SOCKET: Final = "grpc"
# In bytes, on macOS; 107 on Linux.
_LONGEST_SOCKET: Final = 103
_SHORT_FOLDER: Final = "/tmp"
_PREFIX: Final = "movierec-"


@contextmanager
def socket_path() -> Iterator[Path]:
    """Where a socket can be made: the only file of a folder that is this user's alone.

    The folder, which may hold other files too, is removed at the end. It is where temporary folders
    are, unless the path of a socket is too long there or is not the same in a URI, as which gRPC
    reads it.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        socket = Path(folder) / _SOCKET
        if _can_be_socket(str(socket)):
            yield socket
            return
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_SHORT_FOLDER) as folder:
        yield Path(folder) / _SOCKET


def _can_be_socket(path: str) -> bool:
    return len(path) <= _LONGEST_SOCKET and quote(path) == path
