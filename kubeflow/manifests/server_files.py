"""The files that tensorflow_model_server is started with, in a ConfigMap."""

from __future__ import annotations

from typing import Final

from kubeflow.manifests.identity import Identity, Manifest, digest
from serving import model_config
from serving.monitoring_config import monitoring_config

MODELS_FILE: Final = "models.config"
MONITORING_FILE: Final = "monitoring.config"


def config_map(identity: Identity, base_path: str, version: int | None) -> Manifest:
    """The files, in a ConfigMap whose name changes with them.

    So pods that still run, and a roll-out that is undone, keep the files that they began with.

    Args:
        identity: of the server.
        base_path: the folder of the model's versions as the server sees it.
        version: the one to serve; None serves the newest.
    """
    policy = model_config.newest_version() if version is None else model_config.one_version(version)
    data = {
        MODELS_FILE: model_config.model_config(identity.model_name, base_path, policy, labels={}),
        MONITORING_FILE: monitoring_config(),
    }
    suffix = f"-{digest(''.join(data.values()))}"
    return identity.manifest("v1", "ConfigMap", suffix, immutable=True, data=data)
