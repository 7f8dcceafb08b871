"""What steps on Kubeflow Pipelines are told of the storage at s3:// and minio://.

The launcher copies their artifacts. What a parameter names, a step reads and writes itself.
"""

from __future__ import annotations

from typing import Final

from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2

from pipeline import graph
from pipeline.config.tree import PipelineConfig

STEPS: Final = (
    graph.DATA_FINGERPRINT,
    graph.EXAMPLE_GEN,
    graph.BASELINE_MODEL,
    graph.PUSHER,
)
"""Those that read the data, or read or write pushed models."""

# As Kubeflow Pipelines calls them in the Secret of its own storage.
_CREDENTIALS: Final = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}


def environment(endpoint: str) -> dict[str, str]:
    """Variables of their containers."""
    return {"AWS_ENDPOINT_URL": endpoint}


def secrets(config: PipelineConfig) -> list[kubernetes_pb2.SecretAsEnv]:
    """Where further variables of their containers come from."""
    name = config.kfp.storage_secret
    if name is None:
        return []
    secret = kubernetes_pb2.SecretAsEnv(
        # Deprecated, and the one field for it that drivers before 2.5 know. They refuse any other,
        # `optional` among them; a Secret that does not say so must be there.
        secret_name=name,
        key_to_env=[
            kubernetes_pb2.SecretAsEnv.SecretKeyToEnvMap(secret_key=key, env_var=variable)
            for key, variable in _CREDENTIALS.items()
        ],
    )
    return [secret]
