"""The second document of a file for Kubeflow Pipelines: what it adds to the pods of steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from kubeflow.compiling import storage_variables
from kubeflow.compiling.pipeline_spec import executor_name
from kubeflow.machines import training_resources
from pipeline.config.tree import PipelineConfig


def platform_spec(config: PipelineConfig, training: Iterable[str]) -> dict[str, Any]:
    """Returns a PlatformSpec with the nodes and the Secrets of steps; empty if there are none.

    Args:
        config: Configuration of the pipeline.
        training: Node ids of the steps that run on the nodes for training.
    """
    trains = kubernetes_pb2.KubernetesExecutorConfig(
        node_selector=_node_selector(config),
        tolerations=[
            kubernetes_pb2.Toleration(**toleration.model_dump(exclude_none=True))
            for toleration in training_resources.tolerations(config)
        ],
    )
    stores = kubernetes_pb2.KubernetesExecutorConfig(
        secret_as_env=storage_variables.secrets(config)
    )
    pods = dict.fromkeys(training, trains) | dict.fromkeys(storage_variables.steps(config), stores)
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
    labels = training_resources.node_selector(config)
    return kubernetes_pb2.NodeSelector(labels=labels) if labels else None
