"""The files that tensorflow_model_server is started with, in a ConfigMap."""

from __future__ import annotations

from typing import Final

from kubeflow.manifests.identity import Identity, Manifest, digest
from serving.tensorflow_serving_config import model_config, monitoring_config

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
    data = {
        MODELS_FILE: model_config(identity.model_name, base_path, version=version),
        MONITORING_FILE: monitoring_config(),
    }
    suffix = f"-{digest(''.join(data.values()))}"
    return identity.manifest("v1", "ConfigMap", suffix, immutable=True, data=data)
