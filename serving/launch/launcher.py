"""Starts the model server that fits, says which, and ends it when it is told to.

TensorFlow Serving and the embedded server get the same model folder, addresses and settings.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from serving import ports
from serving.client import readiness
from serving.defaults import SERVING_IMAGE
from serving.errors import ServingError
from serving.launch import native_noise, server_choice, tensorflow_serving_command
from serving.launch.server_choice import Binary, Docker, Embedded
from serving.launch.server_process import ServerProcess
from serving.launch.socket_folder import socket_path
from serving.launch.socket_relay import SocketRelay
from serving.launch.tensorflow_serving_command import BINARY
from serving.launch.wanted_server import WantedServer
from serving.monitoring_config import METRICS_PATH
from serving.server_options import ServerOptions
from serving.versions import versions

_LOG: Final = logging.getLogger(__name__)

_STARTUP_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 0.1
_DOCKER_REMOVE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Started:
    """A model server that answers.

    Attributes:
        server: which one.
        model_name: the model's name in requests.
        versions: that it serves, oldest first.
        address: of gRPC, `host:port`.
        metrics: the URL of the Prometheus metrics; None if there are none.
    """

    server: str
    model_name: str
    versions: Sequence[int]
    address: str
    metrics: str | None

    def __str__(self) -> str:
        """One line for a person."""
        numbers = ", ".join(map(str, self.versions))
        plural = "s" if len(self.versions) > 1 else ""
        metrics = f", metrics at {self.metrics}" if self.metrics else ""
        return (
            f"{self.server} serves {self.model_name}, version{plural} {numbers}, "
            f"at {self.address}{metrics}"
        )


class _Stop:
    """Whether a signal has asked this process to end."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked


def launch(
    options: ServerOptions,
    announce: Callable[[Started], None],
    wanted: WantedServer = WantedServer.AUTO,
    binary: Path | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; to be called in the main thread.

    Args:
        options: of the server.
        announce: called once, when the server answers.
        wanted: which server.
        binary: the file of TensorFlow Serving; None looks on PATH.

    Raises:
        ServingError: the server cannot be started, does not come up, or ended by itself.
    """
    _refuse_what_is_not_there(options)
    with _stop_on_signals() as stop:
        match server_choice.choose(wanted, options, binary):
            case Embedded():
                _run_embedded(options, announce, stop)
            case Binary(path) if ports.is_every_interface(options.host):
                _run_binary(path, _with_ports(options), announce, stop)
            case Binary(path):
                _run_relayed_binary(path, options, announce, stop)
            case Docker():
                _run_docker(_with_ports(options), announce, stop)


def _refuse_what_is_not_there(options: ServerOptions) -> None:
    """Names what is missing before a server is started, which would wait for it."""
    ports.numeric(options.host)
    present = {int(folder.name) for folder in versions(options.base_path)}
    if not present:
        raise ServingError(
            f"{options.base_path}: no model has been pushed there; `movierec run` does that"
        )
    if options.port and options.port == options.metrics_port:
        raise ServingError(f"port {options.port} cannot be both that of gRPC and of the metrics")
    for label, version in options.version_labels.items():
        if version not in present:
            names = ", ".join(map(str, sorted(present)))
            raise ServingError(
                f"--label {label}={version}: no such version in {options.base_path}; "
                f"there are {names}"
            )


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    """Has SIGTERM and SIGINT noted down instead of ending the process."""
    stop = _Stop()

    def note(number: int, frame: object) -> None:
        stop.asked = True

    earlier = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _with_ports(options: ServerOptions) -> ServerOptions:
    """With free ports in the place of 0.

    Raises:
        ServingError: a port is taken.
    """
    found = replace(options, port=ports.free_port(options.host, options.port))
    if options.metrics_port is None:
        return found
    return replace(found, metrics_port=ports.free_port(options.host, options.metrics_port))


def _run_binary(
    path: Path, options: ServerOptions, announce: Callable[[Started], None], stop: _Stop
) -> None:
    with tempfile.TemporaryDirectory(prefix="movierec-serve-") as folder:
        command = tensorflow_serving_command.binary_command(path, Path(folder), options)
        _supervise(command, BINARY, options, announce, stop)


def _run_relayed_binary(
    path: Path, options: ServerOptions, announce: Callable[[Started], None], stop: _Stop
) -> None:
    """For a host that is not every interface: the binary cannot bind a port to less."""
    with socket_path() as socket, SocketRelay(options.host, options.port, socket) as relay:
        command = tensorflow_serving_command.socket_command(path, socket.parent, socket, options)
        _supervise(command, BINARY, replace(options, port=relay.port), announce, stop)


def _run_docker(options: ServerOptions, announce: Callable[[Started], None], stop: _Stop) -> None:
    _pull(stop)
    name = f"movierec-{uuid.uuid4().hex[:12]}"
    with ExitStack() as at_end:
        folder = at_end.enter_context(tempfile.TemporaryDirectory(prefix="movierec-serve-"))
        command = tensorflow_serving_command.docker_command(name, Path(folder), options)
        # A container outlives the command that started it if that one was killed, or was told to
        # end before there was a container.
        at_end.callback(_remove_container, name)
        if not stop():
            _supervise(command, f"{SERVING_IMAGE} in Docker", options, announce, stop)


def _supervise(
    command: Sequence[str],
    server: str,
    options: ServerOptions,
    announce: Callable[[Started], None],
    stop: _Stop,
) -> None:
    """Runs TensorFlow Serving until it is told to end, or ends."""
    if options.batching is not None:
        _LOG.warning(
            "TensorFlow Serving batches the calls of every signature: those with a scalar k, such "
            "as `recommend`, are refused, and versions are not warmed up; --server embedded "
            "batches `predict` alone"
        )
    with ServerProcess(command, options.drain_seconds) as process:
        found = readiness.wait_until_served(
            ports.reachable(options.host, options.port),
            options,
            _STARTUP_SECONDS,
            lambda: stop() or process.exit_code is not None,
        )
        if found:
            announce(_started(server, options, found))
            process.shows_log = True
        while not stop():
            if process.exit_code is not None:
                raise ServingError(f"{server} {process.last_words()}")
            time.sleep(_PAUSE_SECONDS)


def _pull(stop: _Stop) -> None:
    """Fetches the image unless it is there."""
    present = subprocess.run(
        ["docker", "image", "inspect", SERVING_IMAGE], capture_output=True, check=False
    )
    if present.returncode == 0:
        return
    with ServerProcess(["docker", "pull", SERVING_IMAGE], grace_seconds=1.0) as pull:
        while pull.exit_code is None:
            if stop():
                return
            time.sleep(_PAUSE_SECONDS)
        if pull.exit_code:
            raise ServingError(
                f"docker pull {SERVING_IMAGE} {pull.last_words()}; --server embedded needs no image"
            )


def _remove_container(name: str) -> None:
    subprocess.run(
        ["docker", "rm", "--force", name],
        capture_output=True,
        timeout=_DOCKER_REMOVE_SECONDS,
        check=False,
    )


def _run_embedded(options: ServerOptions, announce: Callable[[Started], None], stop: _Stop) -> None:
    with ExitStack() as start:
        start.enter_context(native_noise.silenced())
        # It loads TensorFlow.
        from serving.embedded.server import ModelServer, serve  # noqa: PLC0415

        def say(server: ModelServer) -> None:
            start.close()
            bound = replace(options, port=server.port, metrics_port=server.metrics_port)
            announce(_started("the embedded server", bound, server.versions))
            if stop():
                # The server has heeded signals only since it has been up.
                signal.raise_signal(signal.SIGTERM)

        if not stop():
            serve(options, say)


def _started(server: str, options: ServerOptions, found: Sequence[int]) -> Started:
    metrics = None
    if options.metrics_port is not None:
        metrics = f"http://{ports.address(options.host, options.metrics_port)}{METRICS_PATH}"
    return Started(
        server, options.model_name, found, ports.address(options.host, options.port), metrics
    )
