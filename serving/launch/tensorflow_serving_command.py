"""The command lines of TensorFlow Serving: as a binary, at a UNIX socket, or in a container."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Final
from urllib.parse import quote

from serving import ports
from serving.defaults import DEFAULT_PORT, SERVING_IMAGE
from serving.server_options import ServerOptions
from serving.tensorflow_serving_config import LOAD_RETRIES, common_flags, write_files

BINARY: Final = "tensorflow_model_server"

_CONTAINER_PORT: Final = DEFAULT_PORT
_CONTAINER_METRICS_PORT: Final = DEFAULT_PORT + 1
_CONTAINER_MODELS: Final = PurePosixPath("/models")
_CONTAINER_CONFIG: Final = PurePosixPath("/config")

_LABELLED_LOAD_RETRIES: Final = 6

_SOCKET: Final = "grpc"
# Longest path of a socket in bytes on macOS; Linux takes 107.
_LONGEST_SOCKET: Final = 103
_SHORT_FOLDER: Final = "/tmp"
_PREFIX: Final = "movierec-"


def binary_command(binary: Path, folder: Path, options: ServerOptions) -> list[str]:
    """Writes the configuration files and returns the command of a server on ports.

    Args:
        binary: File of `tensorflow_model_server`.
        folder: Folder for the configuration files.
        options: Options of the server; the ports are not 0.

    Raises:
        ServingError: A PEM file cannot be read.
    """
    files = write_files(folder, options, options.base_path.resolve())
    listening = _on_ports(options.port, options.metrics_port)
    return [str(binary), *_flags(options, listening, folder, files)]


def socket_command(binary: Path, folder: Path, socket: Path, options: ServerOptions) -> list[str]:
    """Writes the configuration files and returns the command of a server on a UNIX socket.

    Args:
        binary: File of `tensorflow_model_server` 2.5 or later; an earlier one ends and says that
            it needs a port.
        folder: Folder for the configuration files.
        socket: Path of the socket, which the server makes; see `socket_path`.
        options: Options of the server; the host and ports are ignored.

    Raises:
        ServingError: A PEM file cannot be read.
    """
    files = write_files(folder, options, options.base_path.resolve())
    listening = {"port": "0", "grpc_socket_path": str(socket)}
    return [str(binary), *_flags(options, listening, folder, files)]


def docker_command(name: str, folder: Path, options: ServerOptions) -> list[str]:
    """Writes the configuration files and returns the command of a container.

    The container is read-only, has no capabilities, runs as the user who starts it, and is
    published on the host of the options alone.

    Args:
        name: Name of the container.
        folder: Folder for the configuration files.
        options: Options of the server; the ports are not 0.

    Raises:
        ServingError: A PEM file cannot be read.
    """
    base_path = container_base_path(options)
    files = write_files(folder, options, base_path)
    host = ports.numeric(options.host)
    published = {_CONTAINER_PORT: options.port}
    if options.metrics_port is not None:
        published[_CONTAINER_METRICS_PORT] = options.metrics_port
    metrics_port = None if options.metrics_port is None else _CONTAINER_METRICS_PORT
    listening = _on_ports(_CONTAINER_PORT, metrics_port)
    return [
        "docker", "run", "--rm", "--name", name, "--pull", "never",
        # TensorFlow Serving handles no signal, and process 1 ignores signals without a handler.
        "--init",
        "--user", f"{os.getuid()}:{os.getgid()}",
        "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        *(f"--publish={ports.address(host, port)}:{inside}" for inside, port in published.items()),
        "--mount", _mount(options.base_path.resolve(), base_path),
        "--mount", _mount(folder, _CONTAINER_CONFIG),
        "--entrypoint", BINARY,
        SERVING_IMAGE,
        *_flags(options, listening, _CONTAINER_CONFIG, files),
    ]  # fmt: skip


def container_base_path(options: ServerOptions) -> PurePosixPath:
    """Returns the folder of the model's versions inside the container."""
    return _CONTAINER_MODELS / options.model_name


@contextmanager
def socket_path() -> Iterator[Path]:
    """Yields a path for a socket, in a folder that only this user can read.

    The folder may hold other files too, and is removed at the end. It is among the temporary
    folders. If the path would be too long there, or would differ in a URI, in which gRPC reads it,
    the folder is in /tmp.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        socket = Path(folder) / _SOCKET
        if _can_be_socket(str(socket)):
            yield socket
            return
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_SHORT_FOLDER) as folder:
        yield Path(folder) / _SOCKET


def _can_be_socket(path: str) -> bool:
    return len(path) <= _LONGEST_SOCKET and quote(path) == path


def _on_ports(port: int, metrics_port: int | None) -> dict[str, str]:
    flags = {"port": str(port)}
    if metrics_port is not None:
        flags["rest_api_port"] = str(metrics_port)
    return flags


def _flags(
    options: ServerOptions,
    listening: Mapping[str, str],
    folder: PurePath,
    files: Mapping[str, str],
) -> list[str]:
    flags = {flag: str(folder / name) for flag, name in files.items()}
    flags.update(listening)
    wait = str(math.ceil(options.poll_seconds))
    flags["file_system_poll_wait_seconds"] = wait
    # For the pin, which `movierec serve` writes into the file.
    flags["model_config_file_poll_wait_seconds"] = wait
    flags.update(common_flags(_load_retries(options)))
    if options.batching is not None:
        flags["enable_batching"] = "true"
        # Warm-up requests go to every signature, and one that cannot be batched would keep the
        # version from being loaded.
        flags["enable_model_warmup"] = "false"
    if options.version_labels:
        # No version is available while the server starts.
        flags["allow_version_labels_for_unavailable_models"] = "true"
    return [f"--{flag}={value}" for flag, value in flags.items()]


def _load_retries(options: ServerOptions) -> int:
    if options.load_retries is not None:
        return options.load_retries
    # With labels all versions are loaded. The server does not start if one has used up its attempts
    # before another is available, and starts only once none is being tried any more.
    return _LABELLED_LOAD_RETRIES if options.version_labels else LOAD_RETRIES


def _mount(source: Path, target: PurePath) -> str:
    """Returns the value of `--mount` for a read-only folder, which is a line of CSV."""
    quoted = str(source).replace('"', '""')
    return f'type=bind,"source={quoted}",target={target},readonly'
