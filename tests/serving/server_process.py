"""A server that says its port on a line of its own, until it is told to stop.

python -m tests.serving.server_process BASE_PATH
"""

from __future__ import annotations

import sys
from pathlib import Path

from serving.server import serve
from serving.server_options import ServerOptions
from tests.serving.tiny_models import MODEL

if __name__ == "__main__":
    serve(
        ServerOptions(MODEL, Path(sys.argv[1]), port=0),
        lambda server: print(server.port, flush=True),
    )
