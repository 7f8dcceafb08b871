"""The configuration files of TensorFlow Serving, for a server on this machine or in a cluster.

They are in the text format of TensorFlow Serving's protos.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, TypeAlias

from google.protobuf import text_encoding, text_format
from tensorflow_serving.config import (
    file_system_storage_path_source_pb2,
    model_server_config_pb2,
)

from serving.defaults import MAX_CONCURRENT_REQUESTS
from serving.errors import ServingError
from serving.server_options import BatchingOptions, ServerOptions
from serving.version_pin import fixed_version

if TYPE_CHECKING:
    # It imports gRPC, which rendering manifests does not need.
    from serving.tls import ServerTls

# A version that has used them up is never tried again, and a model may be copied into its folder
# for many minutes before it is whole. By its own defaults, the server gives up after five minutes.
LOAD_RETRIES: Final = 180
LOAD_RETRY_MICROSECONDS: Final = 10_000_000
# HTTP path of the Prometheus metrics, on every model server.
METRICS_PATH: Final = "/metrics"

_MODEL_CONFIG: Final = "model_config_file"
_FILE_NAMES: Final = {
    _MODEL_CONFIG: "models.config",
    "ssl_config_file": "ssl.config",
    "monitoring_config_file": "monitoring.config",
    "batching_parameters_file": "batching.config",
}
_Policy: TypeAlias = (
    file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
)


def common_flags(load_retries: int = LOAD_RETRIES) -> dict[str, str]:
    """Returns the flags that every server gets, by name.

    TensorFlow Serving knows all of them from 2.5 on. An earlier release prints its usage for one
    that it does not know, and goes on.

    Args:
        load_retries: Attempts to load a version after the first one has failed.
    """
    return {
        # By default 4 for each core of the machine, whatever a container may use of them. A call
        # that finds no thread is refused.
        "grpc_max_threads": str(MAX_CONCURRENT_REQUESTS),
        # Anybody who reaches the gRPC port could record profiles.
        "enable_profiler": "false",
        "max_num_load_retries": str(load_retries),
        "load_retry_interval_micros": str(LOAD_RETRY_MICROSECONDS),
        # By default versions load one by one, and one that is tried again holds up a newer one.
        "num_load_threads": "2",
    }


def write_files(folder: Path, options: ServerOptions, base_path: PurePath) -> dict[str, str]:
    """Writes the configuration files that the options need.

    They contain the private key: nobody else may read the folder.

    Args:
        folder: Existing folder for the files.
        options: Options of the server.
        base_path: Folder of the model's versions, as the server sees it.

    Returns:
        The names of the files by the flag of TensorFlow Serving that takes each.

    Raises:
        ServingError: A PEM file cannot be read.
    """
    write_model_config(folder, options, base_path)
    texts = {}
    if options.tls is not None:
        texts["ssl_config_file"] = ssl_config(options.tls)
    if options.metrics_port is not None:
        texts["monitoring_config_file"] = monitoring_config()
    if options.batching is not None:
        texts["batching_parameters_file"] = batching_parameters(options.batching)
    for flag, text in texts.items():
        (folder / _FILE_NAMES[flag]).write_text(text, encoding="utf-8")
    return {flag: _FILE_NAMES[flag] for flag in (_MODEL_CONFIG, *texts)}


def write_model_config(folder: Path, options: ServerOptions, base_path: PurePath) -> bool:
    """Writes the file with the model and the version to serve, unless it is right already.

    TensorFlow Serving reads the file again from time to time, so it is replaced in one step.

    Args:
        folder: Folder of the configuration files.
        options: Options of the server.
        base_path: Folder of the model's versions, as the server sees it.

    Returns:
        Whether the file has changed.

    Raises:
        ServingError: The pin cannot be read.
    """
    text = model_config(
        options.model_name,
        str(base_path),
        version=fixed_version(options.base_path),
        labels=options.version_labels,
    )
    path = folder / _FILE_NAMES[_MODEL_CONFIG]
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    aside = path.with_suffix(".new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return True


def model_config(
    model_name: str,
    base_path: str,
    *,
    version: int | None = None,
    labels: Mapping[str, int] | None = None,
) -> str:
    """Returns a `ModelServerConfig` with one model.

    Args:
        model_name: Name of the model in requests.
        base_path: Folder of the model's versions, as the server sees it.
        version: Version to serve, and no newer one; None serves the newest, or every version if
            there are labels.
        labels: Version numbers by the label that a request may give instead. Those of newer
            versions than `version` are left out, because the newest answers requests without one.
    """
    labels = {
        label: number
        for label, number in (labels or {}).items()
        if version is None or number <= version
    }
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(
        name=model_name,
        base_path=base_path,
        model_platform="tensorflow",
        model_version_policy=_version_policy(version, labels),
        version_labels=labels,
    )
    return str(text_format.MessageToString(config))


def monitoring_config() -> str:
    """Returns a `MonitoringConfig`: Prometheus metrics on the REST port, at `METRICS_PATH`."""
    return f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n'


def ssl_config(tls: ServerTls) -> str:
    """Returns an `SSLConfig` with the content of the PEM files, the private key included.

    Raises:
        ServingError: A file cannot be read.
    """
    fields = {"server_key": _read_text(tls.private_key), "server_cert": _read_text(tls.certificate)}
    if tls.client_authority is not None:
        fields["custom_ca"] = _read_text(tls.client_authority)
    # tensorflow-serving-api has no SSLConfig to print.
    lines = [
        f'{name}: "{text_encoding.CEscape(value, as_utf8=True)}"\n'
        for name, value in fields.items()
    ]
    verify = "true" if tls.client_authority is not None else "false"
    return f"{''.join(lines)}client_verify: {verify}\n"


def batching_parameters(batching: BatchingOptions) -> str:
    """Returns `BatchingParameters` with a batching thread for each core of this machine."""
    values = {
        "max_batch_size": batching.max_batch_size,
        "batch_timeout_micros": batching.timeout_micros,
        "max_enqueued_batches": batching.max_enqueued_batches,
        "num_batch_threads": os.cpu_count() or 1,
    }
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in values.items())


def _version_policy(version: int | None, labels: Mapping[str, int]) -> _Policy:
    if version is not None:
        return _Policy(specific=_Policy.Specific(versions=sorted({version, *labels.values()})))
    if labels:
        # A list of the labelled versions and the newest one would not follow newer versions.
        return _Policy(all=_Policy.All())
    return _Policy(latest=_Policy.Latest(num_versions=1))


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ServingError(f"{path}: {reason}; expected a PEM file") from error
