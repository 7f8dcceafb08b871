"""The environment variables by which steps on Kubeflow Pipelines reach s3:// and minio://.

The launcher copies artifacts with credentials of its own. Folders that are parameters of the
pipeline, such as the data, are read and written by the steps themselves.
"""

from __future__ import annotations

from typing import Final

from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2

from pipeline import graph
from pipeline.config.tree import PipelineConfig

_STEPS: Final = (
    graph.DATA_FINGERPRINT,
    graph.EXAMPLE_GEN,
    graph.DRIFT_VALIDATOR,
    graph.BASELINE_MODEL,
    graph.GATE,
    graph.PUSHER,
)

# Keys in the Secret of Kubeflow Pipelines' own storage, and the variables that take their values.
_CREDENTIALS: Final = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}


def steps(config: PipelineConfig) -> list[str]:
    """Returns the steps that read the data, or read or write pushed models."""
    return [*_STEPS, *([graph.WARM_START_MODEL] if config.training.warm_start else [])]


def environment(endpoint: str) -> dict[str, str]:
    """Returns the variables that hold no secret."""
    return {"AWS_ENDPOINT_URL": endpoint}


def secrets(config: PipelineConfig) -> list[kubernetes_pb2.SecretAsEnv]:
    """Returns the Secret that the credentials come from, if one is configured."""
    name = config.kfp.storage_secret
    if name is None:
        return []
    secret = kubernetes_pb2.SecretAsEnv(
        # `secret_name` is deprecated, and the one field that drivers before 2.5 know. They refuse
        # the others, `optional` among them. Without `optional`, the Secret has to exist.
        secret_name=name,
        key_to_env=[
            kubernetes_pb2.SecretAsEnv.SecretKeyToEnvMap(secret_key=key, env_var=variable)
            for key, variable in _CREDENTIALS.items()
        ],
    )
    return [secret]
