"""What Kubeflow Pipelines adds to the pods of steps: the second document of a compiled file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from kubeflow.compiling import storage_access, training_machines
from kubeflow.compiling.names import executor_name
from pipeline.config.tree import PipelineConfig


def platform_spec(config: PipelineConfig, training: Iterable[str]) -> dict[str, Any]:
    """A PlatformSpec: on which nodes steps run, and with which Secrets.

    Args:
        config: what it is of.
        training: the steps that run on the nodes that training is for.

    Returns:
        Nothing if there is nothing to say of either.
    """
    trains = kubernetes_pb2.KubernetesExecutorConfig(
        node_selector=_node_selector(config),
        tolerations=[
            kubernetes_pb2.Toleration(**toleration.model_dump(exclude_none=True))
            for toleration in training_machines.tolerations(config)
        ],
    )
    stores = kubernetes_pb2.KubernetesExecutorConfig(secret_as_env=storage_access.secrets(config))
    pods = dict.fromkeys(training, trains) | dict.fromkeys(storage_access.STEPS, stores)
    executors = {
        executor_name(node_id): json_format.MessageToDict(pod)
        for node_id, pod in pods.items()
        if pod.ByteSize()
    }
    if not executors:
        return {}
    spec = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    json_format.ParseDict(spec, pipeline_spec_pb2.PlatformSpec())
    return spec


def _node_selector(config: PipelineConfig) -> kubernetes_pb2.NodeSelector | None:
    labels = training_machines.node_selector(config)
    return kubernetes_pb2.NodeSelector(labels=labels) if labels else None
