"""TensorFlow Serving's `ModelServerConfig`, for whoever starts it: here or in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from google.protobuf import text_format
from tensorflow_serving.config import (
    file_system_storage_path_source_pb2,
    model_server_config_pb2,
)

VersionPolicy: TypeAlias = (
    file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
)


def newest_version() -> VersionPolicy:
    """Serves the newest version alone."""
    return VersionPolicy(latest=VersionPolicy.Latest(num_versions=1))


def one_version(number: int) -> VersionPolicy:
    """Serves that version alone."""
    return VersionPolicy(specific=VersionPolicy.Specific(versions=[number]))


def every_version() -> VersionPolicy:
    """Serves all versions that are there."""
    return VersionPolicy(all=VersionPolicy.All())


def model_config(
    model_name: str, base_path: str, policy: VersionPolicy, labels: Mapping[str, int]
) -> str:
    """The configuration of one model, in the text format of the proto.

    Args:
        model_name: in requests.
        base_path: the folder of the model's versions as the server sees it.
        policy: which versions are served.
        labels: versions by the label that a request may name instead.
    """
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(
        name=model_name,
        base_path=base_path,
        model_platform="tensorflow",
        model_version_policy=policy,
        version_labels=labels,
    )
    return str(text_format.MessageToString(config))
