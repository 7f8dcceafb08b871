"""A model server for one candidate, in a process that ends with the one that started it.

    python -m serving.launch.candidate_process BASE_PATH MODEL_NAME [--binary FILE]

The embedded server listens to a port of the loopback address, TensorFlow Serving to a UNIX socket.
Prints one line of JSON on standard output, `{"address": ...}` once it answers or `{"error": ...}`,
and serves until its standard input is closed, as that of a killed parent is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from serving import ports
from serving.client import readiness
from serving.embedded.process_end import end_process_after
from serving.errors import ServingError
from serving.launch import tensorflow_serving_command
from serving.launch.server_process import ServerProcess
from serving.launch.socket_folder import socket_path
from serving.launch.tensorflow_serving_command import BINARY
from serving.server_options import ServerOptions

# From the end of the input to the end of the process.
GRACE_SECONDS: Final = 10.0

_DRAIN_SECONDS: Final = 1.0


def main() -> int:
    """Serves; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base_path", type=Path)
    parser.add_argument("model_name")
    parser.add_argument("--binary", type=Path)
    given = parser.parse_args()

    orphaned = threading.Event()
    threading.Thread(target=_watch_parent, args=[orphaned], daemon=True).start()
    report = _report_channel()
    options = ServerOptions(given.model_name, given.base_path, port=0, drain_seconds=_DRAIN_SECONDS)
    try:
        with (
            _embedded(options)
            if given.binary is None
            else _tensorflow_serving(given.binary, options, orphaned)
        ) as address:
            print(json.dumps({"address": address}), file=report)
            orphaned.wait()
    except ServingError as error:
        print(json.dumps({"error": str(error)}), file=report)
        return 1
    return 0


def _watch_parent(orphaned: threading.Event) -> None:
    """Says when the input is closed, and has the process end if that is not heeded."""
    # Not through sys.stdin, whose lock would be held when the interpreter ends.
    while os.read(0, 1):
        pass
    end_process_after(GRACE_SECONDS, exit_code=1)
    orphaned.set()


def _report_channel() -> IO[str]:
    """Standard output as it was; what others print there goes to standard error from now on."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return report


@contextmanager
def _embedded(options: ServerOptions) -> Iterator[str]:
    """Yields the address."""
    # It loads TensorFlow, which the binary has no use for.
    from serving.embedded.server import ModelServer, spare_imports  # noqa: PLC0415

    spare_imports()
    server = ModelServer(options)
    server.start()
    try:
        yield ports.address(options.host, server.port)
    finally:
        server.stop()


@contextmanager
def _tensorflow_serving(
    binary: Path, options: ServerOptions, orphaned: threading.Event
) -> Iterator[str]:
    """Yields the address, also when nobody wants it any more before the server answers."""
    with socket_path() as socket:
        target = f"unix:{socket}"
        command = tensorflow_serving_command.socket_command(binary, socket.parent, socket, options)
        with ServerProcess(command, _DRAIN_SECONDS) as process:
            # The parent knows how long to wait.
            readiness.wait_until_served(
                target,
                options,
                math.inf,
                lambda: orphaned.is_set() or process.exit_code is not None,
            )
            if process.exit_code is not None:
                raise ServingError(f"{BINARY} {process.last_words()}")
            yield target


if __name__ == "__main__":
    sys.exit(main())
