"""Which model server runs: TensorFlow Serving where it can do what is asked, else our own."""

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
from serving.launch.wanted_server import WantedServer
from serving.server_options import ServerOptions

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
    """Our own server, in this process."""


Server = Binary | Docker | Embedded


def choose(wanted: WantedServer, options: ServerOptions, binary: Path | None = None) -> Server:
    """The server that runs.

    `auto` takes the binary on PATH, else Docker, else our own; the first that is there and can do
    what the options ask for. With batching it takes our own: TensorFlow Serving batches the calls
    of every signature, and refuses those whose k has no batch dimension. A binary that is passed
    over for where its metrics would be is named in a warning.

    Args:
        wanted: by whoever starts it.
        options: of the server.
        binary: the file of TensorFlow Serving; with `auto`, it is what is wanted.

    Raises:
        ServingError: what is wanted is not there, or cannot do what the options ask for.
    """
    _refuse_contradiction(wanted, binary)
    if wanted is WantedServer.BINARY or binary is not None:
        _refuse_if(binary_objection(options))
        return Binary(executable(binary))
    if wanted is WantedServer.DOCKER:
        _refuse_if(_objection(options))
        _refuse_if(_docker_silence())
        return Docker()
    if wanted is WantedServer.EMBEDDED or options.batching is not None or _objection(options):
        return Embedded()
    found = shutil.which(BINARY)
    objection = binary_objection(options)
    if found and objection is None:
        return Binary(Path(found))
    if found:
        _LOG.warning("%s is passed over: %s", found, objection)
    return Docker() if _docker_silence() is None else Embedded()


def choose_for_candidate(wanted: WantedServer, binary: Path | None = None) -> Binary | Embedded:
    """The server that a candidate is tried in, which nobody but its own user can reach.

    `auto` takes the binary if it is given or on PATH, else our own server.

    Args:
        wanted: by whoever starts it.
        binary: the file of TensorFlow Serving.

    Raises:
        ServingError: what is wanted is not there, or is Docker.
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
    """The file that runs TensorFlow Serving: the one given, else the one on PATH.

    Raises:
        ServingError: there is none, or it cannot be run.
    """
    found = shutil.which(binary or BINARY)
    if found is None and binary is None:
        raise ServingError(
            f"{BINARY} is not on PATH: give --binary FILE, or take --server docker or embedded"
        )
    if found is None:
        raise ServingError(f"--binary {binary}: no file that can be run")
    return Path(found)


def binary_objection(options: ServerOptions) -> str | None:
    """Why the binary of TensorFlow Serving cannot do what is asked, or None."""
    if objection := _objection(options):
        return objection
    if options.metrics_port is not None and not ports.is_every_interface(options.host):
        return (
            f"{BINARY} has its metrics on its REST port, which listens on every interface, not on "
            f"{options.host} alone: leave --metrics-port out, give --host 0.0.0.0 if that is "
            "meant, or take --server docker or embedded"
        )
    return None


def _objection(options: ServerOptions) -> str | None:
    """Why TensorFlow Serving, in a container or not, cannot do what is asked, or None."""
    if options.tls is not None and options.metrics_port is not None:
        return (
            "TensorFlow Serving has its metrics on its REST port, which answers predictions in "
            "the clear: leave --metrics-port or TLS out, or take --server embedded"
        )
    return None


def _refuse_contradiction(wanted: WantedServer, binary: Path | None) -> None:
    if binary is not None and wanted in (WantedServer.DOCKER, WantedServer.EMBEDDED):
        raise ServingError(f"--binary {binary} goes with --server binary, not {wanted.value}")


def _docker_silence() -> str | None:
    """Why Docker cannot be used, or None if its daemon answers."""
    advice = "; start Docker, or take --server embedded"
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
