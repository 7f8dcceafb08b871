"""The files that tensorflow_model_server is started with, in a ConfigMap."""

from __future__ import annotations

from typing import Final

from kubeflow.serving.identity import Identity, Manifest, digest
from serving.monitoring_config import monitoring_config

MODELS_FILE: Final = "models.config"
MONITORING_FILE: Final = "monitoring.config"


def models_config(model_name: str, base_path: str, version: int | None) -> str:
    """A ModelServerConfig in text format: one model, its newest version or the one given."""
    policy = (
        "latest { num_versions: 1 }" if version is None else f"specific {{ versions: {version} }}"
    )
    return f"""\
model_config_list {{
  config {{
    name: "{model_name}"
    base_path: "{base_path}"
    model_platform: "tensorflow"
    model_version_policy {{
      {policy}
    }}
  }}
}}
"""


def config_map(identity: Identity, base_path: str, version: int | None) -> Manifest:
    """The files, in a ConfigMap whose name changes with them.

    So pods that still run, and a roll-out that is undone, keep the files that they began with.
    """
    data = {
        MODELS_FILE: models_config(identity.model_name, base_path, version),
        MONITORING_FILE: monitoring_config(),
    }
    suffix = f"-{digest(''.join(data.values()))}"
    return identity.manifest("v1", "ConfigMap", suffix, immutable=True, data=data)
