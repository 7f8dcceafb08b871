"""A server that prints its port, and serves until a signal.

python -m tests.serving.server_process BASE_PATH

Upon SIGUSR1 it gives memory back that it has no use for, and says so on a line of its own.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
from pathlib import Path

from serving.embedded.server import serve
from serving.server_options import ServerOptions
from tests.serving.tiny_models import MODEL


def _trim(*_: object) -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    print("trimmed", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _trim)
    serve(
        ServerOptions(MODEL, Path(sys.argv[1]), port=0),
        lambda server: print(server.port, flush=True),
    )
