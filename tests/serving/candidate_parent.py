"""A process that questions a candidate until it is killed: SAVED_MODEL BINARY."""

import sys
import time
from pathlib import Path

from serving.launch.candidate_server import candidate_server

with candidate_server(
    Path(sys.argv[1]), "films", startup_seconds=60, binary=Path(sys.argv[2])
) as server:
    print(server.address, flush=True)
    time.sleep(600)
