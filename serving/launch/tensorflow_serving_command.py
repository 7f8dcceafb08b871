"""The command lines that start TensorFlow Serving, as a binary or in a container."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Final

from serving import ports
from serving.defaults import SERVING_IMAGE
from serving.launch import tensorflow_serving_files
from serving.server_options import ServerOptions

BINARY: Final = "tensorflow_model_server"

_CONTAINER_PORT: Final = 8500
_CONTAINER_METRICS_PORT: Final = 8501
_CONTAINER_MODELS: Final = PurePosixPath("/models")
_CONTAINER_CONFIG: Final = PurePosixPath("/config")


def binary_command(binary: Path, folder: Path, options: ServerOptions) -> list[str]:
    """Writes the configuration files and names what runs with them.

    Args:
        binary: `tensorflow_model_server`.
        folder: for the files.
        options: of the server; the ports are not 0.

    Raises:
        ServingError: a PEM file cannot be read.
    """
    files = tensorflow_serving_files.write(folder, options, options.base_path.resolve())
    listening = _on_ports(options.port, options.metrics_port)
    return [str(binary), *_flags(options, listening, folder, files)]


def socket_command(binary: Path, folder: Path, socket: Path, options: ServerOptions) -> list[str]:
    """As `binary_command`, for a server that listens to a UNIX socket and to no port.

    Args:
        binary: `tensorflow_model_server` of TensorFlow Serving 2.5 or later; an earlier one ends
            and says that it needs a port.
        folder: for the files.
        socket: to be made; its path is at most 107 bytes long, 103 on macOS.
        options: of the server; its host and ports are not heeded.

    Raises:
        ServingError: a PEM file cannot be read.
    """
    files = tensorflow_serving_files.write(folder, options, options.base_path.resolve())
    listening = {"port": "0", "grpc_socket_path": str(socket)}
    return [str(binary), *_flags(options, listening, folder, files)]


def docker_command(name: str, folder: Path, options: ServerOptions) -> list[str]:
    """Writes the configuration files and names the container that runs with them.

    The container writes nothing, has no capabilities, belongs to the user who starts it, and is
    published on the host of the options alone.

    Args:
        name: of the container.
        folder: for the files.
        options: of the server; the ports are not 0.

    Raises:
        ServingError: a PEM file cannot be read.
    """
    base_path = _CONTAINER_MODELS / options.model_name
    files = tensorflow_serving_files.write(folder, options, base_path)
    host = ports.numeric(options.host)
    published = {_CONTAINER_PORT: options.port}
    if options.metrics_port is not None:
        published[_CONTAINER_METRICS_PORT] = options.metrics_port
    metrics_port = None if options.metrics_port is None else _CONTAINER_METRICS_PORT
    listening = _on_ports(_CONTAINER_PORT, metrics_port)
    return [
        "docker", "run", "--rm", "--name", name, "--pull", "never",
        # TensorFlow Serving handles no signal, and process 1 ignores those that it does not handle.
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
    flags["file_system_poll_wait_seconds"] = str(math.ceil(options.poll_seconds))
    # It would try again for five minutes before it says what is wrong with a version.
    flags["max_num_load_retries"] = "0"
    if options.batching is not None:
        flags["enable_batching"] = "true"
        # The requests that warm a version up are to every signature, and one that cannot be
        # batched would keep the version from being loaded.
        flags["enable_model_warmup"] = "false"
    if options.version_labels:
        # While it starts, none of them is available yet.
        flags["allow_version_labels_for_unavailable_models"] = "true"
    return [f"--{flag}={value}" for flag, value in flags.items()]


def _mount(source: Path, target: PurePath) -> str:
    """Of a folder, to be read; the value is a line of CSV."""
    quoted = str(source).replace('"', '""')
    return f'type=bind,"source={quoted}",target={target},readonly'
