"""A server that never answers: its model is called and does not return.

python -m tests.serving.blocked_process BASE_PATH
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.server import serve
from serving.server_options import ServerOptions
from tests.serving.tiny_models import MODEL


def _never(*_: Any) -> Any:
    threading.Event().wait()


if __name__ == "__main__":
    LoadedVersion.predict = _never  # type: ignore[method-assign]
    serve(
        ServerOptions(MODEL, Path(sys.argv[1]), port=0, drain_seconds=0.1),
        lambda server: print(server.port, flush=True),
    )
