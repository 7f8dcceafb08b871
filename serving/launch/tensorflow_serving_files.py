"""The configuration files of TensorFlow Serving, in the text format of its protos."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Final

from google.protobuf import text_encoding

from serving import model_config
from serving.errors import ServingError
from serving.monitoring_config import monitoring_config
from serving.server_options import BatchingOptions, ServerOptions
from serving.tls import ServerTls

_NAMES: Final = {
    "model_config_file": "models.config",
    "ssl_config_file": "ssl.config",
    "monitoring_config_file": "monitoring.config",
    "batching_parameters_file": "batching.config",
}


def write(folder: Path, options: ServerOptions, base_path: PurePath) -> dict[str, str]:
    """Writes what the options ask for.

    The private key is among it: the folder must be nobody else's.

    Args:
        folder: an existing one.
        options: of the server.
        base_path: the folder of the model's versions as the server sees it.

    Returns:
        The names of the files written, by the flag of TensorFlow Serving that takes each.

    Raises:
        ServingError: a PEM file cannot be read.
    """
    texts = {"model_config_file": models_config(options, base_path)}
    if options.tls is not None:
        texts["ssl_config_file"] = ssl_config(options.tls)
    if options.metrics_port is not None:
        texts["monitoring_config_file"] = monitoring_config()
    if options.batching is not None:
        texts["batching_parameters_file"] = batching_parameters(options.batching)
    for flag, text in texts.items():
        (folder / _NAMES[flag]).write_text(text, encoding="utf-8")
    return {flag: _NAMES[flag] for flag in texts}


def models_config(options: ServerOptions, base_path: PurePath) -> str:
    """A `ModelServerConfig` of one model, of which the newest version is served.

    With labels all must be: a list of versions would pin the newest one too.
    """
    labels = options.version_labels
    policy = model_config.every_version() if labels else model_config.newest_version()
    return model_config.model_config(options.model_name, str(base_path), policy, labels)


def ssl_config(tls: ServerTls) -> str:
    """An `SSLConfig`; it holds what is in the PEM files, the private key too.

    Raises:
        ServingError: a file cannot be read.
    """
    fields = {"server_key": _read(tls.private_key), "server_cert": _read(tls.certificate)}
    if tls.client_authority is not None:
        fields["custom_ca"] = _read(tls.client_authority)
    verify = "true" if tls.client_authority is not None else "false"
    return f"{_strings(fields)}client_verify: {verify}\n"


def batching_parameters(batching: BatchingOptions) -> str:
    """A `BatchingParameters`; as many threads as this machine has cores call the model."""
    values = {
        "max_batch_size": batching.max_batch_size,
        "batch_timeout_micros": batching.timeout_micros,
        "max_enqueued_batches": batching.max_enqueued_batches,
        "num_batch_threads": os.cpu_count() or 1,
    }
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in values.items())


def _strings(fields: Mapping[str, str]) -> str:
    """Fields of messages that tensorflow-serving-api leaves out, as text format writes them."""
    return "".join(
        f'{name}: "{text_encoding.CEscape(value, as_utf8=True)}"\n'
        for name, value in fields.items()
    )


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ServingError(f"{path}: {reason}; a PEM file is needed") from error
