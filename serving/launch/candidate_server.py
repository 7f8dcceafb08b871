"""A model server that exists to question one candidate, and ends with the questions."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from serving.errors import ServingError
from serving.launch import server_choice
from serving.launch.candidate_process import GRACE_SECONDS
from serving.launch.server_choice import Binary
from serving.launch.tensorflow_serving_command import BINARY
from serving.launch.wanted_server import WantedServer

EMBEDDED: Final = "embedded"
CANDIDATE_VERSION: Final = 1

_COMMAND: Final = [sys.executable, "-m", "serving.launch.candidate_process"]

# What the process may need beyond the time in which it ends by itself.
_MARGIN_SECONDS: Final = 5.0


@dataclass(frozen=True)
class CandidateServer:
    """A server that answers for the candidate.

    Attributes:
        address: of gRPC, in the clear: `host:port` or `unix:/path`, as gRPC's channels take both.
        kind: "tensorflow_model_server" or "embedded".
    """

    address: str
    kind: str


@contextmanager
def candidate_server(
    saved_model: Path,
    model_name: str,
    *,
    startup_seconds: float,
    wanted: WantedServer = WantedServer.AUTO,
    binary: Path | None = None,
) -> Iterator[CandidateServer]:
    """Serves one SavedModel, as version 1 of a model, in another process.

    The embedded server is bound to the loopback address. TensorFlow Serving listens to a UNIX
    socket: it would bind a port to every interface.

    Args:
        saved_model: the folder of the SavedModel.
        model_name: in requests.
        startup_seconds: that the server has until it answers, the import of TensorFlow included.
        wanted: which server; `auto` takes the binary if there is one, else the embedded server.
        binary: `tensorflow_model_server`; None looks on PATH.

    Yields:
        The server; it has ended when the body is left, whatever was raised there, and ends too if
        this process is killed.

    Raises:
        ServingError: the server that is wanted is not there, or does not come up; with its own
            reason.
    """
    chosen = server_choice.choose_for_candidate(wanted, binary)
    with tempfile.TemporaryDirectory(prefix="movierec-candidate-") as folder:
        base_path = Path(folder) / model_name
        base_path.mkdir()
        (base_path / str(CANDIDATE_VERSION)).symlink_to(saved_model.resolve())
        command = [
            *_COMMAND,
            str(base_path),
            model_name,
            *(("--binary", str(chosen.path)) if isinstance(chosen, Binary) else ()),
        ]
        with _log(Path(folder)) as log, _process(command, log) as process:
            said = _first_line(process, startup_seconds)
            if "address" not in said:
                raise ServingError(f"{saved_model}: {said.get('error') or _end_of(log, process)}")
            yield CandidateServer(
                said["address"], BINARY if isinstance(chosen, Binary) else EMBEDDED
            )


def _log(folder: Path) -> IO[bytes]:
    return (folder / "log.txt").open("w+b")


@contextmanager
def _process(command: list[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Starts it; asks it to end by the end of its input, and ends it if it does not."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # A terminal's Ctrl-C reaches it through this process alone.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(GRACE_SECONDS + _MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _first_line(process: subprocess.Popen[bytes], seconds: float) -> dict[str, str]:
    """What the process reports; nothing if it ended before it could.

    Raises:
        ServingError: it takes too long.
    """
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(seconds):
            raise ServingError(f"the model server of the candidate is not up after {seconds:g} s")
    line = process.stdout.readline()
    return dict(json.loads(line)) if line else {}


def _end_of(log: IO[bytes], process: subprocess.Popen[bytes]) -> str:
    """The last line of its log, with the code with which it ended."""
    code = process.wait()
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return f"the model server ended (exit code {code}): {lines[-1]}"
