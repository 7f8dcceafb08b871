"""TensorFlow Serving by a KServe InferenceService."""

from __future__ import annotations

from typing import Final

from kubeflow.manifests import availability, model_files, network, pods, server_files
from kubeflow.manifests.identity import Identity, Manifest
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.locations import ModelLocation

# The name by which KServe knows the container that serves.
_CONTAINER: Final = "kserve-container"


def manifests(
    config: KubernetesConfig, identity: Identity, location: ModelLocation
) -> list[Manifest]:
    """The InferenceService and what KServe does not make itself."""
    # A claim is mounted by the pod, so that new versions are found while it runs, whichever way
    # KServe would take.
    model = (
        model_files.copied_by_kserve(location)
        if location.in_bucket
        else model_files.read_by_the_server(location)
    )
    files = server_files.config_map(identity, model.base_path, config.model_version)
    own_account = [] if config.service_account else [availability.service_account(identity)]
    return [
        *own_account,
        files,
        network.network_policy(config, identity, location),
        network.headless_service(identity),
        _inference_service(config, identity, model, files["metadata"]["name"]),
        availability.disruption_budget(identity),
    ]


def _inference_service(
    config: KubernetesConfig,
    identity: Identity,
    model: model_files.ModelFiles,
    configuration: str,
) -> Manifest:
    described = identity.manifest(
        "serving.kserve.io/v1beta1",
        "InferenceService",
        spec={
            "predictor": {
                "minReplicas": config.min_replicas,
                "maxReplicas": config.max_replicas,
                "scaleMetric": "cpu",
                "scaleTarget": config.target_cpu_percent,
                "deploymentStrategy": availability.roll_out(),
                **pods.pod_spec(config, identity, model, configuration, _CONTAINER),
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
