"""`movierec serve`: starts the server that fits the options, announces it, and ends it on a signal.

TensorFlow Serving and the embedded server get the same model folder, addresses and settings.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Final

from serving import ports, version_locks
from serving.defaults import SERVING_IMAGE
from serving.errors import ServingError
from serving.launch import readiness, server_choice, tensorflow_serving_command
from serving.launch.server_choice import Binary, Docker, Embedded
from serving.launch.server_process import ServerProcess
from serving.launch.socket_relay import SocketRelay
from serving.launch.tensorflow_serving_command import BINARY, socket_path
from serving.server_options import ServerOptions, WantedServer
from serving.shutdown import handle_stop_signals
from serving.tensorflow_serving_config import METRICS_PATH, write_model_config
from serving.version_pin import read_pin
from serving.versions import versions

_LOG: Final = logging.getLogger(__name__)

QUIET_SECONDS: Final = 10.0
"""Time after which the log of a server that does not answer yet is shown."""

_STARTUP_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 0.1
_DOCKER_REMOVE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Started:
    """A model server that answers.

    Attributes:
        server: Which server it is, in words.
        model_name: Name of the model in requests.
        versions: Numbers of the served versions, oldest first.
        address: gRPC address, `host:port`.
        rest: URL of the model over REST; None if there is none.
        metrics: URL of the Prometheus metrics; None if there are none.
    """

    server: str
    model_name: str
    versions: Sequence[int]
    address: str
    metrics: str | None
    rest: str | None = None

    def __str__(self) -> str:
        """Returns one line for a person."""
        numbers = ", ".join(map(str, self.versions))
        plural = "s" if len(self.versions) > 1 else ""
        rest = f", REST at {self.rest}" if self.rest else ""
        metrics = f", metrics at {self.metrics}" if self.metrics else ""
        return (
            f"{self.server} serves {self.model_name}, version{plural} {numbers}, "
            f"at {self.address}{rest}{metrics}"
        )


class _Stop:
    """Remembers whether a signal has told this process to end."""

    def __init__(self) -> None:
        self._requested = False

    def __call__(self) -> bool:
        return self._requested

    def request(self, *_: object) -> None:
        """Handles a signal."""
        self._requested = True


def launch(
    options: ServerOptions,
    announce: Callable[[Started], None],
    wanted: WantedServer = WantedServer.AUTO,
    binary: Path | None = None,
) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP; must run in the main thread.

    `auto` falls back to the embedded server, with a warning, if Docker cannot pull the image.

    Args:
        options: Options of the server.
        announce: Function called once, when the server answers.
        wanted: Server to start.
        binary: File of TensorFlow Serving; None looks on PATH.

    Raises:
        ServingError: The server cannot be started, does not come up, or ended by itself.
    """
    _check_options(options)
    stop = _Stop()
    labelled = set(options.version_labels.values())
    kept = [folder for folder in versions(options.base_path) if int(folder.name) in labelled]
    with (
        handle_stop_signals(stop.request),
        version_locks.held(kept),
        _announcing_rest(options, announce) as say,
    ):
        match server_choice.choose(wanted, options, binary):
            case Embedded():
                _run_embedded(options, say, stop)
            case Binary(path) if ports.is_every_interface(options.host):
                _run_binary(path, _with_ports(options), say, stop)
            case Binary(path):
                _run_relayed_binary(path, options, say, stop)
            case Docker():
                bound = _with_ports(options)
                problem = _pull(stop)
                if problem is None:
                    _run_docker(bound, say, stop)
                elif wanted is WantedServer.AUTO:
                    _LOG.warning("%s: the embedded server takes its place", problem)
                    _run_embedded(options, say, stop)
                else:
                    raise ServingError(f"{problem}; --server embedded needs no image")


@contextmanager
def _announcing_rest(
    options: ServerOptions, announce: Callable[[Started], None]
) -> Iterator[Callable[[Started], None]]:
    """Yields a function that starts the REST API, if it is wanted, before it announces the server.

    The API asks the server over gRPC, whichever it is, and ends after it.
    """
    if options.rest_port is None:
        yield announce
        return
    port = ports.free_port(options.host, options.rest_port)
    with ExitStack() as at_end:

        def start(started: Started) -> None:
            with native_output_silenced():
                # This import loads TensorFlow, for its protos.
                from serving.rest.rest_server import RestServer  # noqa: PLC0415

            grpc_port = int(started.address.rpartition(":")[2])
            rest = RestServer(ports.reachable(options.host, grpc_port), options.host, port)
            at_end.callback(rest.stop)
            announce(replace(started, rest=f"{rest.url}/v1/models/{started.model_name}"))

        yield start


@contextmanager
def native_output_silenced() -> Iterator[None]:
    """Drops what C++ libraries write to standard error; `sys.stderr` still arrives there.

    TensorFlow writes its first lines before any of its settings applies.
    """
    sys.stderr.flush()
    descriptor = os.dup(2)
    python = sys.stderr
    with (
        open(os.devnull, "wb") as nowhere,
        os.fdopen(descriptor, "w", encoding="utf-8", buffering=1) as screen,
    ):
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = screen
        try:
            yield
        finally:
            sys.stderr = python
            os.dup2(descriptor, 2)


def _check_options(options: ServerOptions) -> None:
    """Reports missing versions before a server is started, which would wait for them."""
    ports.numeric(options.host)
    read_pin(options.base_path)
    present = {int(folder.name) for folder in versions(options.base_path)}
    if not present:
        raise ServingError(
            f"{options.base_path}: no model has been pushed there; run `movierec run` first"
        )
    if options.rest_port is not None and options.tls is not None:
        raise ServingError(
            "the REST API answers without TLS: leave out --rest-port, or the options of TLS"
        )
    wanted = {
        "gRPC": options.port,
        "REST": options.rest_port,
        "metrics": options.metrics_port,
    }
    for (first, port), (second, other) in combinations(wanted.items(), 2):
        if port and port == other:
            raise ServingError(f"port {port} cannot be both the {first} port and the {second} port")
    for label, version in options.version_labels.items():
        if version not in present:
            names = ", ".join(map(str, sorted(present)))
            raise ServingError(
                f"--label {label}={version}: no such version in {options.base_path}; "
                f"expected one of {names}"
            )


def _with_ports(options: ServerOptions) -> ServerOptions:
    """Returns the options with free ports in place of 0.

    Raises:
        ServingError: A port is taken.
    """
    bound = replace(options, port=ports.free_port(options.host, options.port))
    if options.metrics_port is None:
        return bound
    return replace(bound, metrics_port=ports.free_port(options.host, options.metrics_port))


def _run_binary(
    path: Path, options: ServerOptions, announce: Callable[[Started], None], stop: _Stop
) -> None:
    with tempfile.TemporaryDirectory(prefix="movierec-serve-") as folder:
        command = tensorflow_serving_command.binary_command(path, Path(folder), options)
        follow = partial(write_model_config, Path(folder), options, options.base_path.resolve())
        _supervise(command, BINARY, options, announce, stop, follow)


def _run_relayed_binary(
    path: Path, options: ServerOptions, announce: Callable[[Started], None], stop: _Stop
) -> None:
    """Runs the binary behind a relay: the binary itself can only bind every interface."""
    with socket_path() as socket, SocketRelay(options.host, options.port, socket) as relay:
        command = tensorflow_serving_command.socket_command(path, socket.parent, socket, options)
        follow = partial(write_model_config, socket.parent, options, options.base_path.resolve())
        _supervise(command, BINARY, replace(options, port=relay.port), announce, stop, follow)


def _run_docker(options: ServerOptions, announce: Callable[[Started], None], stop: _Stop) -> None:
    name = f"movierec-{uuid.uuid4().hex[:12]}"
    with ExitStack() as at_end:
        folder = at_end.enter_context(tempfile.TemporaryDirectory(prefix="movierec-serve-"))
        command = tensorflow_serving_command.docker_command(name, Path(folder), options)
        # A container outlives the command that started it if the command is killed, or is told to
        # end before the container exists.
        at_end.callback(_remove_container, name)
        if not stop():
            base_path = tensorflow_serving_command.container_base_path(options)
            follow = partial(write_model_config, Path(folder), options, base_path)
            _supervise(command, f"{SERVING_IMAGE} in Docker", options, announce, stop, follow)


def _supervise(
    command: Sequence[str],
    server: str,
    options: ServerOptions,
    announce: Callable[[Started], None],
    stop: _Stop,
    follow: Callable[[], bool],
) -> None:
    """Runs TensorFlow Serving until a signal, or until it ends by itself.

    Args:
        command: Command of the server.
        server: Which server it is, in words.
        options: Options of the server.
        announce: Function called once, when the server answers.
        stop: Whether a signal has come.
        follow: Function that writes the pinned version into the configuration, and returns whether
            that was news.
    """
    if options.batching is not None:
        _LOG.warning(
            "TensorFlow Serving batches the calls of every signature: it refuses those with a "
            "scalar k, such as `recommend`, and versions are not warmed up; --server embedded "
            "batches `predict` alone"
        )
    quiet_until = time.monotonic() + QUIET_SECONDS
    with ServerProcess(command, options.drain_seconds) as process:

        def given_up() -> bool:
            if time.monotonic() >= quiet_until:
                # It may be trying again to load a version, and its log says why that fails.
                process.show_log(from_start=True)
            return stop() or process.exit_code is not None

        served = readiness.wait_until_served(
            ports.reachable(options.host, options.port), options, _STARTUP_SECONDS, given_up
        )
        if served:
            announce(_started(server, options, served))
            process.show_log()
        next_look = time.monotonic()
        while not stop():
            if process.exit_code is not None:
                raise ServingError(f"{server} {process.last_words()}")
            if time.monotonic() >= next_look:
                _follow_pin(follow)
                next_look = time.monotonic() + options.poll_seconds
            time.sleep(_PAUSE_SECONDS)


def _follow_pin(follow: Callable[[], bool]) -> None:
    try:
        if follow():
            _LOG.info("the version to serve has changed; the server reads it soon")
    except (OSError, ServingError) as error:
        # What is served stays: the volume may come back.
        _LOG.warning("the pinned version cannot be read (%s)", error)


def _pull(stop: _Stop) -> str | None:
    """Pulls the image unless Docker has it; returns why it cannot, or None."""
    present = subprocess.run(
        ["docker", "image", "inspect", SERVING_IMAGE], capture_output=True, check=False
    )
    if present.returncode == 0:
        return None
    with ServerProcess(["docker", "pull", SERVING_IMAGE], grace_seconds=1.0) as pull:
        while pull.exit_code is None:
            if stop():
                return None
            time.sleep(_PAUSE_SECONDS)
        if pull.exit_code:
            return f"docker pull {SERVING_IMAGE} {pull.last_words()}"
    return None


def _remove_container(name: str) -> None:
    subprocess.run(
        ["docker", "rm", "--force", name],
        capture_output=True,
        timeout=_DOCKER_REMOVE_SECONDS,
        check=False,
    )


def _run_embedded(options: ServerOptions, announce: Callable[[Started], None], stop: _Stop) -> None:
    with ExitStack() as start:
        start.enter_context(native_output_silenced())
        # This import loads TensorFlow.
        from serving.embedded.server import ModelServer, serve  # noqa: PLC0415

        def say(server: ModelServer) -> None:
            start.close()
            bound = replace(options, port=server.port, metrics_port=server.metrics_port)
            announce(_started("the embedded server", bound, server.versions))
            if stop():
                # The server handles signals only from now on; an earlier one must not be lost.
                signal.raise_signal(signal.SIGTERM)

        if not stop():
            serve(options, say)


def _started(server: str, options: ServerOptions, numbers: Sequence[int]) -> Started:
    metrics = None
    if options.metrics_port is not None:
        metrics = f"http://{ports.address(options.host, options.metrics_port)}{METRICS_PATH}"
    return Started(
        server, options.model_name, numbers, ports.address(options.host, options.port), metrics
    )
