"""The choice of a model server: TensorFlow Serving where it fits, else the embedded one."""

from __future__ import annotations

import logging
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving import ports
from serving.errors import ServingError
from serving.launch.tensorflow_serving_command import BINARY
from serving.server_options import ServerOptions, WantedServer

_LOG: Final = logging.getLogger(__name__)

_DOCKER_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Binary:
    """TensorFlow Serving on this machine."""

    path: Path


@dataclass(frozen=True)
class Docker:
    """TensorFlow Serving in a container."""


@dataclass(frozen=True)
class Embedded:
    """The embedded server, in this process."""


Server = Binary | Docker | Embedded


def choose(wanted: WantedServer, options: ServerOptions, binary: Path | None = None) -> Server:
    """Returns the server to run.

    `auto` takes the first that is installed and supports the options: the binary on PATH, Docker,
    the embedded server. With batching it takes the embedded server: TensorFlow Serving batches
    the calls of every signature, and refuses those whose k has no batch dimension. A warning names
    a binary that is passed over because of its metrics port.

    Args:
        wanted: Server that the person asks for.
        options: Options of the server.
        binary: File of TensorFlow Serving; `auto` then takes it.

    Raises:
        ServingError: The wanted server is not installed, or does not support the options.
    """
    _refuse_contradiction(wanted, binary)
    if wanted is WantedServer.BINARY or binary is not None:
        _refuse_if(binary_objection(options))
        return Binary(executable(binary))
    if wanted is WantedServer.DOCKER:
        _refuse_if(_objection(options))
        _refuse_if(_docker_problem())
        return Docker()
    if wanted is WantedServer.EMBEDDED or options.batching is not None or _objection(options):
        return Embedded()
    found = shutil.which(BINARY)
    objection = binary_objection(options)
    if found and objection is None:
        return Binary(Path(found))
    if found:
        _LOG.warning("%s is passed over: %s", found, objection)
    return Docker() if _docker_problem() is None else Embedded()


def choose_for_candidate(wanted: WantedServer, binary: Path | None = None) -> Binary | Embedded:
    """Returns the server to try a candidate in, which no other user of the machine can reach.

    `auto` takes the binary if it is given or on PATH, else the embedded server.

    Args:
        wanted: Server that the person asks for.
        binary: File of TensorFlow Serving.

    Raises:
        ServingError: The wanted server is not installed, or is Docker.
    """
    _refuse_contradiction(wanted, binary)
    if wanted is WantedServer.DOCKER:
        raise ServingError(
            "a candidate is not tried in Docker: expected the server auto, binary or embedded"
        )
    if wanted is WantedServer.BINARY or binary is not None:
        return Binary(executable(binary))
    found = None if wanted is WantedServer.EMBEDDED else shutil.which(BINARY)
    return Binary(Path(found)) if found else Embedded()


def executable(binary: Path | None) -> Path:
    """Returns the file of TensorFlow Serving: the given one, else the one on PATH.

    Raises:
        ServingError: There is none, or it is not executable.
    """
    found = shutil.which(binary or BINARY)
    if found is None and binary is None:
        raise ServingError(
            f"{BINARY} is not on PATH: give --binary FILE, or use --server docker or embedded"
        )
    if found is None:
        raise ServingError(f"--binary {binary}: expected an executable file")
    return Path(found)


def binary_objection(options: ServerOptions) -> str | None:
    """Returns why the binary of TensorFlow Serving does not support the options, or None."""
    if objection := _objection(options):
        return objection
    if options.metrics_port is not None and not ports.is_every_interface(options.host):
        return (
            f"{BINARY} has its metrics on its REST port, which listens on every interface, not on "
            f"{options.host} alone: leave out --metrics-port, use --server docker or embedded, or "
            "give --host 0.0.0.0"
        )
    return None


def _objection(options: ServerOptions) -> str | None:
    """Returns why TensorFlow Serving, in a container or not, does not support the options."""
    if options.tls is not None and options.metrics_port is not None:
        return (
            "TensorFlow Serving has its metrics on its REST port, which answers predictions in "
            "the clear: leave out --metrics-port or TLS, or use --server embedded"
        )
    if options.request_log is not None:
        return (
            "TensorFlow Serving's release cannot write its request log into files: leave out "
            "--request-log, or use --server embedded"
        )
    return None


def _refuse_contradiction(wanted: WantedServer, binary: Path | None) -> None:
    if binary is not None and wanted in (WantedServer.DOCKER, WantedServer.EMBEDDED):
        raise ServingError(f"--binary {binary}: expected --server binary, given {wanted.value}")


def _docker_problem() -> str | None:
    """Returns why Docker cannot be used, or None if its daemon answers."""
    advice = "; start Docker, or use --server embedded"
    try:
        answer = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=_DOCKER_SECONDS,
            check=False,
        )
    except OSError as error:
        return f"docker cannot be run: {error.strerror}{advice}"
    except subprocess.TimeoutExpired:
        return f"Docker does not answer within {_DOCKER_SECONDS:g} s{advice}"
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
        return f"Docker does not answer: {said[-1]}{advice}"
    return None


def _refuse_if(objection: str | None) -> None:
    if objection is not None:
        raise ServingError(objection)
