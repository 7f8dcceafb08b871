"""TensorFlow Serving by plain Kubernetes objects."""

from __future__ import annotations

from kubeflow.serving import availability, network, pods, server_files
from kubeflow.serving.identity import Identity, Manifest
from pipeline.kubernetes_config import KubernetesConfig
from pipeline.model_location import ModelLocation

_CONTAINER = "tensorflow-serving"
_MODEL_VOLUME = "models"
_MODEL_FOLDER = "/models"
# A roll-out that takes longer than its slowest server may is reported as failed.
_ROLL_OUT_MARGIN_SECONDS = 300


def manifests(
    config: KubernetesConfig, identity: Identity, location: ModelLocation
) -> list[Manifest]:
    """Everything that serves the model, in the order in which it is needed."""
    files = server_files.config_map(identity, _base_path(location), config.model_version)
    own_account = [] if config.service_account else [availability.service_account(identity)]
    return [
        *own_account,
        files,
        network.network_policy(config, identity, location),
        network.service(identity),
        network.headless_service(identity),
        _deployment(config, identity, location, files["metadata"]["name"]),
        availability.autoscaler(config, identity),
        availability.disruption_budget(identity),
    ]


def _base_path(location: ModelLocation) -> str:
    """Where the server sees the versions; buckets it reads by itself."""
    if location.in_bucket:
        return location.uri
    return f"{_MODEL_FOLDER}/{location.path}".rstrip("/")


def _deployment(
    config: KubernetesConfig, identity: Identity, location: ModelLocation, files: str
) -> Manifest:
    # The claim as a whole: the folder need not exist before the first model is pushed.
    volumes: list[Manifest] = []
    if not location.in_bucket:
        claim = {"claimName": location.holder, "readOnly": True}
        volumes = [{"name": _MODEL_VOLUME, "persistentVolumeClaim": claim}]
    mounts = {volume["name"]: _MODEL_FOLDER for volume in volumes}
    container = pods.container(_CONTAINER, config, identity.model_name, mounts, {})
    return identity.manifest(
        "apps/v1",
        "Deployment",
        spec={
            "selector": {"matchLabels": identity.pod_labels},
            # A version that does not load takes no replica away from the one that serves.
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "progressDeadlineSeconds": config.startup_seconds + _ROLL_OUT_MARGIN_SECONDS,
            "template": {
                "metadata": {
                    "labels": identity.labels,
                    "annotations": pods.metrics_annotations(),
                },
                "spec": pods.pod_spec(config, identity, container, files, volumes),
            },
        },
    )
