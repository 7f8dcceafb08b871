"""TensorFlow Serving by plain Kubernetes objects."""

from __future__ import annotations

from kubeflow.manifests import availability, model_files, network, pods, server_files
from kubeflow.manifests.identity import Identity, Manifest
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.locations import ModelLocation

_CONTAINER = "tensorflow-serving"
# A roll-out that takes longer than its slowest server may is reported as failed.
_ROLL_OUT_MARGIN_SECONDS = 300


def manifests(
    config: KubernetesConfig, identity: Identity, location: ModelLocation
) -> list[Manifest]:
    """Everything that serves the model, in the order in which it is needed."""
    model = model_files.read_by_the_server(location)
    files = server_files.config_map(identity, model.base_path, config.model_version)
    own_account = [] if config.service_account else [availability.service_account(identity)]
    return [
        *own_account,
        files,
        network.network_policy(config, identity, location),
        network.service(identity),
        network.headless_service(identity),
        _deployment(config, identity, model, files["metadata"]["name"]),
        availability.autoscaler(config, identity),
        availability.disruption_budget(identity),
    ]


def _deployment(
    config: KubernetesConfig,
    identity: Identity,
    model: model_files.ModelFiles,
    configuration: str,
) -> Manifest:
    return identity.manifest(
        "apps/v1",
        "Deployment",
        spec={
            "selector": {"matchLabels": identity.pod_labels},
            "strategy": availability.roll_out(),
            "progressDeadlineSeconds": config.startup_seconds + _ROLL_OUT_MARGIN_SECONDS,
            "template": {
                "metadata": {
                    "labels": identity.labels,
                    "annotations": pods.metrics_annotations(),
                },
                "spec": pods.pod_spec(config, identity, model, configuration, _CONTAINER),
            },
        },
    )
