"""The pods that run tensorflow_model_server: their spec, files, account and replacement.

The server runs without privileges, is probed, and goes on answering for a while before it ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kubeflow.manifests.metadata import Manifest, ModelServerMetadata, digest
from pipeline.config.kubernetes import KubernetesConfig, amount
from pipeline.config.locations import ModelLocation
from serving.defaults import DEFAULT_PORT
from serving.tensorflow_serving_config import (
    METRICS_PATH,
    common_flags,
    model_config,
    monitoring_config,
)

GRPC_PORT: Final = DEFAULT_PORT
REST_PORT: Final = 8501
# Names by which Services and probes refer to the ports.
GRPC: Final = "grpc"
REST: Final = "http"

_MODELS_FILE: Final = "models.config"
_MONITORING_FILE: Final = "monitoring.config"
_CONFIG_VOLUME: Final = "config"
_CONFIG_FOLDER: Final = "/etc/tensorflow-serving"
_SCRATCH_VOLUME: Final = "tmp"
_CLAIM_VOLUME: Final = "models"
_CLAIM_FOLDER: Final = "/models"

# KServe's names of the variable with the address that it copies, and of the folder with the copy.
_STORAGE_VARIABLE: Final = "STORAGE_URI"
_COPY_FOLDER: Final = "/mnt/models"

# Time for which a pod that is to end goes on answering, while its address leaves the Services and
# the clients' caches.
_DRAIN_SECONDS: Final = 40
# The server handles no signal. As process 1 of its container it therefore ignores SIGTERM, and
# answers until SIGKILL at the end of the grace period. One second after the drain is enough: no
# client is left by then. In a process namespace that the pod's containers share, SIGTERM would end
# it, but every container could see the processes of the others, and end those of the same user.
_END_SECONDS: Final = 1

# The server closes a connection of this age, so that its client resolves the name again. The client
# then finds new replicas and leaves those that end.
_CONNECTION_MILLISECONDS: Final = 30_000
_LAST_REQUEST_MILLISECONDS: Final = 30_000

_PROBE_SECONDS: Final = 5

_SCRATCH: Final = "64Mi"
# Scratch and logs, which kubelet rotates at some 50 MiB a container. A pod that writes more to its
# node is evicted.
_STORAGE: Final = "256Mi"
# The copy that KServe makes of a model is on the node too.
_STORAGE_WITH_COPY: Final = "16Gi"


@dataclass(frozen=True)
class ModelFiles:
    """The versions of a model as the pod sees them.

    Attributes:
        base_path: Folder of versions inside the container.
        volumes: Volumes of the pod.
        mounts: Folders inside the container by volume, all read-only.
        environment: Environment variables of the container.
    """

    base_path: str
    volumes: tuple[Manifest, ...] = ()
    mounts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def read_by_the_server(location: ModelLocation) -> ModelFiles:
    """Returns a model in a volume claim, which the pod mounts, or in a bucket."""
    if location.in_bucket:
        return ModelFiles(location.uri)
    # The whole claim is mounted: the folder may not exist before the first model is pushed.
    claim = {"claimName": location.holder, "readOnly": True}
    return ModelFiles(
        base_path=f"{_CLAIM_FOLDER}/{location.path}".rstrip("/"),
        volumes=({"name": _CLAIM_VOLUME, "persistentVolumeClaim": claim},),
        mounts={_CLAIM_VOLUME: _CLAIM_FOLDER},
    )


def copied_by_kserve(location: ModelLocation) -> ModelFiles:
    """Returns a model that KServe copies from a bucket into the pod before the server starts."""
    return ModelFiles(_COPY_FOLDER, environment={_STORAGE_VARIABLE: location.uri})


def server_files(metadata: ModelServerMetadata, base_path: str, version: int | None) -> Manifest:
    """Returns a ConfigMap with the server's configuration files, named after their content.

    Running pods and an undone roll-out thus keep the files that they started with.

    Args:
        metadata: Metadata of the model server.
        base_path: Folder of the model's versions inside the container.
        version: Version to serve; None for the newest.
    """
    data = {
        _MODELS_FILE: model_config(metadata.model_name, base_path, version=version),
        _MONITORING_FILE: monitoring_config(),
    }
    suffix = f"-{digest(''.join(data.values()))}"
    return metadata.manifest("v1", "ConfigMap", suffix, immutable=True, data=data)


def service_account(config: KubernetesConfig, metadata: ModelServerMetadata) -> list[Manifest]:
    """Returns an account without rights or token, unless the configuration names another."""
    if config.service_account:
        return []
    return [metadata.manifest("v1", "ServiceAccount", automountServiceAccountToken=False)]


def rolling_update() -> Manifest:
    """Returns a strategy that stops no serving replica before a new one is ready."""
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def disruption_budget(metadata: ModelServerMetadata) -> Manifest:
    """Returns a budget that lets one ready replica at a time be evicted, and any unready one."""
    return metadata.manifest(
        "policy/v1",
        "PodDisruptionBudget",
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": metadata.pod_labels},
        },
    )


def metrics_annotations() -> dict[str, str]:
    """Returns the annotations by which Prometheus finds the metrics."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(REST_PORT),
        "prometheus.io/path": METRICS_PATH,
    }


def pod_spec(
    config: KubernetesConfig,
    metadata: ModelServerMetadata,
    model: ModelFiles,
    config_map: str,
    container_name: str,
) -> Manifest:
    """Returns the spec of a pod with one container, the server.

    Args:
        config: Image, resources, times, user and service account of the server.
        metadata: Metadata of the model server.
        model: Files of the model.
        config_map: Name of the ConfigMap with the server's configuration files.
        container_name: Name of the container.
    """
    return {
        "serviceAccountName": config.service_account or metadata.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": config.user_id,
            "runAsGroup": config.user_id,
            # Volumes that Kubernetes can give to a group can be read by the server's.
            "fsGroup": config.user_id,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": _DRAIN_SECONDS + _END_SECONDS,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": metadata.pod_labels},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "containers": [_container(container_name, config, metadata.model_name, model)],
        "volumes": [
            {"name": _CONFIG_VOLUME, "configMap": {"name": config_map}},
            {"name": _SCRATCH_VOLUME, "emptyDir": {"sizeLimit": _SCRATCH}},
            *model.volumes,
        ],
    }


def _container(name: str, config: KubernetesConfig, model_name: str, model: ModelFiles) -> Manifest:
    container: Manifest = {
        "name": name,
        "image": config.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": _arguments(config),
        # KServe's own Service leads to the first port.
        "ports": [
            {"name": REST, "containerPort": REST_PORT, "protocol": "TCP"},
            {"name": GRPC, "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        # The server holds two versions while one replaces the other.
        "resources": {
            "requests": {
                "cpu": config.cpu_request,
                "memory": config.memory_request,
                "ephemeral-storage": _STORAGE,
            },
            "limits": {
                "cpu": config.cpu_limit,
                "memory": config.memory_limit,
                "ephemeral-storage": _STORAGE_WITH_COPY if model.environment else _STORAGE,
            },
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": config.user_id,
            "runAsGroup": config.user_id,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_probes(config, model_name),
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep", str(_DRAIN_SECONDS)]}}},
        "volumeMounts": [
            {"name": _CONFIG_VOLUME, "mountPath": _CONFIG_FOLDER, "readOnly": True},
            {"name": _SCRATCH_VOLUME, "mountPath": "/tmp"},
            *(
                {"name": volume, "mountPath": folder, "readOnly": True}
                for volume, folder in model.mounts.items()
            ),
        ],
    }
    if model.environment:
        container["env"] = [{"name": key, "value": text} for key, text in model.environment.items()]
    return container


def _arguments(config: KubernetesConfig) -> list[str]:
    # By default, the server starts as many threads as the node has cores.
    threads = math.ceil(amount(config.cpu_limit))
    flags = {
        "port": GRPC_PORT,
        "rest_api_port": REST_PORT,
        "model_config_file": f"{_CONFIG_FOLDER}/{_MODELS_FILE}",
        "monitoring_config_file": f"{_CONFIG_FOLDER}/{_MONITORING_FILE}",
        "file_system_poll_wait_seconds": config.poll_seconds,
        **common_flags(),
        "tensorflow_session_parallelism": threads,
        "grpc_channel_arguments": (
            f"grpc.max_connection_age_ms={_CONNECTION_MILLISECONDS},"
            f"grpc.max_connection_age_grace_ms={_LAST_REQUEST_MILLISECONDS}"
        ),
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def _probes(config: KubernetesConfig, model_name: str) -> Manifest:
    # The model's metadata is there once a version is loaded; its status is there before.
    metadata_request = {"httpGet": {"path": f"/v1/models/{model_name}/metadata", "port": REST}}
    return {
        "startupProbe": {
            **metadata_request,
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": math.ceil(config.startup_seconds / _PROBE_SECONDS),
        },
        "readinessProbe": {
            **metadata_request,
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": 3,
        },
        # A busy server may be slow to answer requests, but still accepts connections.
        "livenessProbe": {
            "tcpSocket": {"port": GRPC},
            "periodSeconds": 2 * _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": 6,
        },
    }
