"""TensorFlow Serving by a KServe InferenceService."""

from __future__ import annotations

from typing import Final

from kubeflow.serving import availability, network, pods, server_files
from kubeflow.serving.identity import Identity, Manifest
from pipeline.kubernetes_config import KubernetesConfig
from pipeline.model_location import ModelLocation

# Fixed by KServe: the container that it serves from, the variable that names what is to be mounted
# or copied for it, and where that lies then.
CONTAINER: Final = "kserve-container"
STORAGE_VARIABLE: Final = "STORAGE_URI"
MODEL_FOLDER: Final = "/mnt/models"


def manifests(
    config: KubernetesConfig, identity: Identity, location: ModelLocation
) -> list[Manifest]:
    """The InferenceService and what KServe does not make itself."""
    files = server_files.config_map(identity, MODEL_FOLDER, config.model_version)
    own_account = [] if config.service_account else [availability.service_account(identity)]
    return [
        *own_account,
        files,
        network.network_policy(config, identity, location),
        network.headless_service(identity),
        _inference_service(config, identity, location, files["metadata"]["name"]),
        availability.disruption_budget(identity),
    ]


def _inference_service(
    config: KubernetesConfig, identity: Identity, location: ModelLocation, files: str
) -> Manifest:
    storage = {STORAGE_VARIABLE: location.uri}
    container = pods.container(CONTAINER, config, identity.model_name, {}, storage)
    described = identity.manifest(
        "serving.kserve.io/v1beta1",
        "InferenceService",
        spec={
            "predictor": {
                "minReplicas": config.min_replicas,
                "maxReplicas": config.max_replicas,
                "scaleMetric": "cpu",
                "scaleTarget": config.target_cpu_percent,
                **pods.pod_spec(config, identity, container, files, []),
            }
        },
    )
    # Without Knative, whose proxy takes one port only. Releases that say Standard for it know the
    # older name as well.
    described["metadata"]["annotations"] = {
        "serving.kserve.io/deploymentMode": "RawDeployment",
        "serving.kserve.io/autoscalerClass": "hpa",
        **pods.metrics_annotations(),
    }
    return described
