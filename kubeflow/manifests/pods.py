"""The pod that runs tensorflow_model_server: unprivileged, probed, and drained before it ends."""

from __future__ import annotations

import math
from typing import Final

from kubeflow.manifests.identity import Identity, Manifest
from kubeflow.manifests.model_files import ModelFiles
from kubeflow.manifests.server_files import MODELS_FILE, MONITORING_FILE
from pipeline.config.kubernetes import KubernetesConfig, amount
from serving.defaults import DEFAULT_PORT
from serving.tensorflow_serving_config import METRICS_PATH

GRPC_PORT: Final = DEFAULT_PORT
REST_PORT: Final = 8501
# Ports are referred to by name.
GRPC: Final = "grpc"
REST: Final = "http"

CONFIG_VOLUME: Final = "config"
SCRATCH_VOLUME: Final = "tmp"
CONFIG_FOLDER: Final = "/etc/tensorflow-serving"

# The server ends at once on SIGTERM. Before that it goes on answering while its address leaves the
# Services and clients' caches.
DRAIN_SECONDS: Final = 40
_END_SECONDS = 20

# A connection this old is closed, so that its client resolves the name again: it finds replicas
# that were added, and has left those that end.
_CONNECTION_MILLISECONDS = 30_000
_LAST_REQUEST_MILLISECONDS = 30_000

_LOAD_RETRIES = 5
_LOAD_RETRY_MICROSECONDS = 10_000_000
_PROBE_SECONDS = 5


def metrics_annotations() -> dict[str, str]:
    """Where a Prometheus that goes by annotations finds the metrics."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(REST_PORT),
        "prometheus.io/path": METRICS_PATH,
    }


def pod_spec(
    config: KubernetesConfig,
    identity: Identity,
    model: ModelFiles,
    configuration: str,
    container_name: str,
) -> Manifest:
    """The spec of a pod with one container, the server.

    Args:
        config: image, resources, times, user and service account.
        identity: the model's name, and how replicas are recognised, to be spread over nodes.
        model: its files.
        configuration: name of the ConfigMap of the server's own files.
        container_name: of the one container.
    """
    return {
        "serviceAccountName": config.service_account or identity.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": config.user_id,
            "runAsGroup": config.user_id,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": DRAIN_SECONDS + _END_SECONDS,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": identity.pod_labels},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "containers": [_container(container_name, config, identity.model_name, model)],
        "volumes": [
            {"name": CONFIG_VOLUME, "configMap": {"name": configuration}},
            {"name": SCRATCH_VOLUME, "emptyDir": {"sizeLimit": "64Mi"}},
            *model.volumes,
        ],
    }


def _container(name: str, config: KubernetesConfig, model_name: str, model: ModelFiles) -> Manifest:
    described: Manifest = {
        "name": name,
        "image": config.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": _arguments(config),
        # The first one is what KServe's own Service leads to.
        "ports": [
            {"name": REST, "containerPort": REST_PORT, "protocol": "TCP"},
            {"name": GRPC, "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": config.cpu_request, "memory": config.memory_request},
            "limits": {"cpu": config.cpu_limit, "memory": config.memory_limit},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": config.user_id,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_probes(config, model_name),
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep", str(DRAIN_SECONDS)]}}},
        "volumeMounts": [
            {"name": CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": True},
            {"name": SCRATCH_VOLUME, "mountPath": "/tmp"},
            *(
                {"name": volume, "mountPath": folder, "readOnly": True}
                for volume, folder in model.mounts.items()
            ),
        ],
    }
    if model.environment:
        described["env"] = [{"name": key, "value": text} for key, text in model.environment.items()]
    return described


def _arguments(config: KubernetesConfig) -> list[str]:
    # By itself it would start as many threads as the node has cores.
    threads = math.ceil(amount(config.cpu_limit))
    flags = {
        "port": GRPC_PORT,
        "rest_api_port": REST_PORT,
        "model_config_file": f"{CONFIG_FOLDER}/{MODELS_FILE}",
        "monitoring_config_file": f"{CONFIG_FOLDER}/{MONITORING_FILE}",
        "file_system_poll_wait_seconds": config.poll_seconds,
        "max_num_load_retries": _LOAD_RETRIES,
        "load_retry_interval_micros": _LOAD_RETRY_MICROSECONDS,
        "tensorflow_session_parallelism": threads,
        "grpc_channel_arguments": (
            f"grpc.max_connection_age_ms={_CONNECTION_MILLISECONDS},"
            f"grpc.max_connection_age_grace_ms={_LAST_REQUEST_MILLISECONDS}"
        ),
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def _probes(config: KubernetesConfig, model_name: str) -> Manifest:
    # Model status is answered with 200 also while nothing is loaded; metadata is not.
    answers = {"httpGet": {"path": f"/v1/models/{model_name}/metadata", "port": REST}}
    return {
        "startupProbe": {
            **answers,
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": math.ceil(config.startup_seconds / _PROBE_SECONDS),
        },
        "readinessProbe": {
            **answers,
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": 3,
        },
        # A busy server is not a dead one: only the port is asked, and several times.
        "livenessProbe": {
            "tcpSocket": {"port": GRPC},
            "periodSeconds": 2 * _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": 6,
        },
    }
