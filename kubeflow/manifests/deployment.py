"""TensorFlow Serving as plain Kubernetes objects: a Deployment and its autoscaler."""

from __future__ import annotations

from typing import Final

from kubeflow.manifests import network, pods
from kubeflow.manifests.metadata import Manifest, ModelServerMetadata
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.locations import ModelLocation

_CONTAINER: Final = "tensorflow-serving"
# Added to the slowest start of a server; a roll-out that takes longer is reported as failed.
_ROLL_OUT_MARGIN_SECONDS: Final = 300
# Time for which a replica has to be idle before the autoscaler removes it.
_SCALE_DOWN_SECONDS: Final = 300


def manifests(
    config: KubernetesConfig, metadata: ModelServerMetadata, location: ModelLocation
) -> list[Manifest]:
    """Returns everything that serves the model, in the order in which it is needed."""
    model = pods.read_by_the_server(location)
    files = pods.server_files(metadata, model.base_path, config.model_version)
    return [
        *pods.service_account(config, metadata),
        files,
        network.network_policy(config, metadata, location),
        network.service(metadata),
        network.headless_service(metadata),
        _deployment(config, metadata, model, files["metadata"]["name"]),
        _autoscaler(config, metadata),
        pods.disruption_budget(metadata),
    ]


def _deployment(
    config: KubernetesConfig,
    metadata: ModelServerMetadata,
    model: pods.ModelFiles,
    config_map: str,
) -> Manifest:
    """Returns a Deployment without a number of replicas, which the autoscaler sets."""
    return metadata.manifest(
        "apps/v1",
        "Deployment",
        spec={
            "selector": {"matchLabels": metadata.pod_labels},
            "strategy": pods.rolling_update(),
            "progressDeadlineSeconds": config.startup_seconds + _ROLL_OUT_MARGIN_SECONDS,
            "template": {
                "metadata": {
                    "labels": metadata.labels,
                    "annotations": pods.metrics_annotations(),
                },
                "spec": pods.pod_spec(config, metadata, model, config_map, _CONTAINER),
            },
        },
    )


def _autoscaler(config: KubernetesConfig, metadata: ModelServerMetadata) -> Manifest:
    return metadata.manifest(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": metadata.name,
            },
            "minReplicas": config.min_replicas,
            "maxReplicas": config.max_replicas,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {
                            "type": "Utilization",
                            "averageUtilization": config.target_cpu_percent,
                        },
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": _SCALE_DOWN_SECONDS}},
        },
    )
