"""TensorFlow Serving as a KServe InferenceService."""

from __future__ import annotations

from typing import Final

from kubeflow.manifests import network, pods
from kubeflow.manifests.metadata import Manifest, ModelServerMetadata
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.locations import ModelLocation

# The name by which KServe finds the container that serves.
_CONTAINER: Final = "kserve-container"


def manifests(
    config: KubernetesConfig, metadata: ModelServerMetadata, location: ModelLocation
) -> list[Manifest]:
    """Returns the InferenceService and the objects that KServe does not create itself."""
    # The pod mounts a volume claim itself, so that a running server finds new versions.
    model = (
        pods.copied_by_kserve(location) if location.in_bucket else pods.read_by_the_server(location)
    )
    files = pods.server_files(metadata, model.base_path, config.model_version)
    return [
        *pods.service_account(config, metadata),
        files,
        network.network_policy(config, metadata, location),
        network.headless_service(metadata),
        _inference_service(config, metadata, model, files["metadata"]["name"]),
        pods.disruption_budget(metadata),
    ]


def _inference_service(
    config: KubernetesConfig,
    metadata: ModelServerMetadata,
    model: pods.ModelFiles,
    config_map: str,
) -> Manifest:
    service = metadata.manifest(
        "serving.kserve.io/v1beta1",
        "InferenceService",
        spec={
            "predictor": {
                "minReplicas": config.min_replicas,
                "maxReplicas": config.max_replicas,
                "scaleMetric": "cpu",
                "scaleTarget": config.target_cpu_percent,
                "deploymentStrategy": pods.rolling_update(),
                **pods.pod_spec(config, metadata, model, config_map, _CONTAINER),
            }
        },
    )
    # Without Knative, whose proxy takes a single port.
    service["metadata"]["annotations"] = {
        "serving.kserve.io/deploymentMode": config.kserve_deployment_mode,
        "serving.kserve.io/autoscalerClass": "hpa",
        **pods.metrics_annotations(),
    }
    return service
