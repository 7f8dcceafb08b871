"""A model server for one candidate, in a process that ends with the one that started it.

    python -m serving.launch.candidate_server BASE_PATH MODEL_NAME [--binary FILE]

is that process, or a fork of this one does the same. The embedded server listens on a port of the
loopback address, TensorFlow Serving on a UNIX socket. The process prints one line of JSON on
standard output: `{"address": ...}` once the server answers, or `{"error": ...}`. It serves until
its standard input is closed, as it is when the parent is killed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from serving import ports
from serving.errors import ServerUnavailableError, ServingError
from serving.launch import readiness, server_choice, tensorflow_serving_command
from serving.launch.server_choice import Binary, Embedded
from serving.launch.server_process import ServerProcess
from serving.launch.spare_process import SpareProcess
from serving.launch.tensorflow_serving_command import BINARY, socket_path
from serving.server_options import ServerOptions, WantedServer
from serving.shutdown import end_process_after

EMBEDDED: Final = "embedded"
CANDIDATE_VERSION: Final = 1
# The command of the server's process, without its arguments.
PROCESS_COMMAND: Final = (sys.executable, "-m", "serving.launch.candidate_server")

# From the end of the input to the end of the process.
_GRACE_SECONDS: Final = 10.0
# Time that the process may need beyond that.
_MARGIN_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 1.0
# Seconds between two looks at a process that starts.
_LOOK_SECONDS: Final = 1.0
# Least processor time, in seconds, that counts as progress.
PROGRESS_SECONDS: Final = 1.0
# Exit codes of a process that somebody has ended, as the system does when memory runs out.
_KILLED: Final = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CandidateServer:
    """A server that answers with the candidate.

    Attributes:
        address: gRPC target without TLS, `host:port` or `unix:/path`.
        kind: "tensorflow_model_server" or "embedded".
    """

    address: str
    kind: str


Process = subprocess.Popen[bytes] | SpareProcess
"""The process that a server runs in."""

# The fork that the next embedded server takes.
_spare: ContextVar[SpareProcess | None] = ContextVar("_spare", default=None)


@contextmanager
def spare_process() -> Iterator[None]:
    """Forks a process that becomes the embedded server of a candidate inside the block.

    It saves the seconds in which a new process imports TensorFlow. This process must have imported
    TensorFlow, and must not have started any thread.
    """
    spare = SpareProcess(_serve_as_told)
    token = _spare.set(spare)
    try:
        yield
    finally:
        _spare.reset(token)
        _end(spare)


@contextmanager
def candidate_server(
    saved_model: Path,
    model_name: str,
    *,
    startup_seconds: float,
    wanted: WantedServer = WantedServer.AUTO,
    binary: Path | None = None,
) -> Iterator[CandidateServer]:
    """Serves one SavedModel, as version 1 of a model, in another process inside the block.

    The embedded server is bound to the loopback address. TensorFlow Serving listens on a UNIX
    socket, because it would bind a port on every interface. The process also ends if this one is
    killed.

    Args:
        saved_model: Folder of the SavedModel.
        model_name: Name of the model in requests.
        startup_seconds: Time until the server answers, which includes the import of TensorFlow. It
            may take longer as long as the server's process makes progress: on a busy machine, it
            gets only a part of the processor.
        wanted: Server to use; `auto` takes the binary if there is one, else the embedded server.
        binary: File of `tensorflow_model_server`; None looks on PATH.

    Yields:
        The server.

    Raises:
        ServingError: The wanted server is not installed, or does not load the model; with its own
            reason.
        ServerUnavailableError: The server does not come up in time, or is killed.
    """
    chosen = server_choice.choose_for_candidate(wanted, binary)
    with tempfile.TemporaryDirectory(prefix="movierec-candidate-") as folder:
        base_path = Path(folder) / model_name
        base_path.mkdir()
        (base_path / str(CANDIDATE_VERSION)).symlink_to(saved_model.resolve())
        log_file = Path(folder) / "log.txt"
        with log_file.open("w+b") as log, _process(chosen, base_path, model_name, log) as process:
            report = _first_line(process, startup_seconds, isinstance(chosen, Binary))
            if "address" not in report:
                reason = report.get("error") or _end_of(log, process)
                killed = process.poll() in _KILLED
                raise (ServerUnavailableError if killed else ServingError)(
                    f"{saved_model}: {reason}"
                )
            yield CandidateServer(
                report["address"], BINARY if isinstance(chosen, Binary) else EMBEDDED
            )


@contextmanager
def _process(
    chosen: Binary | Embedded, base_path: Path, model_name: str, log: IO[bytes]
) -> Iterator[Process]:
    """Starts the process, and ends it by closing its input, or by SIGKILL after a while."""
    spare = _spare.get()
    if spare is not None and not spare.told and isinstance(chosen, Embedded):
        process: Process = spare
        spare.tell([str(base_path), model_name, log.name])
    else:
        binary = ("--binary", str(chosen.path)) if isinstance(chosen, Binary) else ()
        process = subprocess.Popen(
            [*PROCESS_COMMAND, str(base_path), model_name, *binary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # A terminal's Ctrl-C reaches it through this process alone.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: Process) -> None:
    """Closes the input of a process, and kills it if that does not end it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_GRACE_SECONDS + _MARGIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _first_line(process: Process, seconds: float, in_child: bool) -> dict[str, str]:
    """Returns the report of the process; empty if it ended before.

    Args:
        process: Process that starts the server.
        seconds: Time to wait. After it, a server that has used less processor time than that is
            waited for as long as it uses more.
        in_child: Whether the server is a child of the process.

    Raises:
        ServerUnavailableError: It takes too long.
    """
    assert process.stdout is not None
    started = progressed = time.monotonic()
    used = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not selector.select(min(seconds, _LOOK_SECONDS)):
            now = time.monotonic()
            total = processor_seconds(process.pid, in_child)
            if total >= used + PROGRESS_SECONDS:
                used, progressed = total, now
            if now >= started + seconds and (used >= seconds or now >= progressed + seconds):
                raise ServerUnavailableError(
                    f"the candidate's model server is not up after {now - started:.3g} s, in which "
                    f"it used {total:.3g} s of the processor; expected at most {seconds:g} s "
                    "(serving.startup_seconds)"
                )
    line = process.stdout.readline()
    return dict(json.loads(line)) if line else {}


def processor_seconds(process: int, in_child: bool) -> float:
    """Returns the processor time of a process or its children; 0 where the system has no /proc."""
    try:
        task = Path(f"/proc/{process}")
        if in_child:
            children = (task / "task" / str(process) / "children").read_text().split()
            return sum(processor_seconds(int(child), in_child=False) for child in children)
        # The name of the program, in parentheses, may have spaces.
        values = (task / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    user, system = values[11:13]
    return (int(user) + int(system)) / _TICKS


def _end_of(log: IO[bytes], process: Process) -> str:
    """Returns the exit code of the process and the last line of its log, as one line."""
    code = process.wait()
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["no output"]
    return f"the model server ended (exit code {code}): {lines[-1]}"


def main() -> int:
    """Serves in this process and returns its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base_path", type=Path)
    parser.add_argument("model_name")
    parser.add_argument("--binary", type=Path)
    arguments = parser.parse_args()
    return _serve(arguments.base_path, arguments.model_name, arguments.binary)


def _serve_as_told(arguments: Sequence[str]) -> int:
    """Serves in a spare process and returns its exit code."""
    base_path, model_name, log = arguments
    with open(log, "ab", buffering=0) as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    return _serve(Path(base_path), model_name, None)


def _serve(base_path: Path, model_name: str, binary: Path | None) -> int:
    orphaned = threading.Event()
    threading.Thread(target=_watch_parent, args=[orphaned], daemon=True).start()
    report = _report_channel()
    options = ServerOptions(
        model_name,
        base_path,
        port=0,
        # Whoever starts a candidate has checked them, or chosen not to.
        check_ops=False,
        # A candidate is whole, and why it does not load must be known at once.
        load_retries=0,
        drain_seconds=_DRAIN_SECONDS,
    )
    try:
        with (
            _embedded(options) if binary is None else _tensorflow_serving(binary, options, orphaned)
        ) as address:
            print(json.dumps({"address": address}), file=report)
            orphaned.wait()
    except ServingError as error:
        print(json.dumps({"error": str(error)}), file=report)
        return 1
    return 0


def _watch_parent(orphaned: threading.Event) -> None:
    """Sets the event when the input is closed, and ends the process some time after."""
    # Reading sys.stdin would hold its lock when the interpreter ends.
    while os.read(0, 1):
        pass
    end_process_after(_GRACE_SECONDS, exit_code=1)
    orphaned.set()


def _report_channel() -> IO[str]:
    """Returns standard output, and redirects what others print there to standard error."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return report


@contextmanager
def _embedded(options: ServerOptions) -> Iterator[str]:
    """Runs the embedded server and yields its address."""
    # This import loads TensorFlow, which the binary does not need.
    from serving.embedded.server import ModelServer, freeze_imports  # noqa: PLC0415

    freeze_imports()
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
    """Runs TensorFlow Serving and yields its address, also if the parent ends before it answers."""
    with socket_path() as socket:
        target = f"unix:{socket}"
        command = tensorflow_serving_command.socket_command(binary, socket.parent, socket, options)
        with ServerProcess(command, _DRAIN_SECONDS) as process:
            # The parent limits the time.
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
