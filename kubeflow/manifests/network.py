"""The Services and the NetworkPolicy of a model server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kubeflow.manifests.metadata import Manifest, ModelServerMetadata
from kubeflow.manifests.pods import GRPC, GRPC_PORT, REST, REST_PORT
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.locations import ModelLocation

_HEADLESS_SUFFIX: Final = "-headless"

_HTTPS_PORT: Final = 443
_DNS_PORT: Final = 53
# Addresses and ports of Google's metadata server, which gives a pod the tokens of its service
# account. Some clusters redirect the first address to the second before a policy sees it.
_METADATA_SERVERS: Final = {"169.254.169.254/32": (80, 8080), "169.254.169.252/32": (987, 988)}


def service(metadata: ModelServerMetadata) -> Manifest:
    """Returns a Service with one address for all replicas; a connection stays with one of them."""
    return metadata.manifest("v1", "Service", spec={"type": "ClusterIP", **_service_spec(metadata)})


def headless_service(metadata: ModelServerMetadata) -> Manifest:
    """Returns a Service whose name resolves to every ready replica, for balancing clients."""
    return metadata.manifest(
        "v1", "Service", _HEADLESS_SUFFIX, spec={"clusterIP": "None", **_service_spec(metadata)}
    )


def network_policy(
    config: KubernetesConfig, metadata: ModelServerMetadata, location: ModelLocation
) -> Manifest:
    """Returns a policy that admits the configured clients, and lets out what a bucket needs."""
    return metadata.manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec={
            "podSelector": {"matchLabels": metadata.pod_labels},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": _ingress(config),
            "egress": _egress(location),
        },
    )


def _service_spec(metadata: ModelServerMetadata) -> Manifest:
    return {
        "selector": metadata.pod_labels,
        "ports": [
            {"name": GRPC, "port": GRPC_PORT, "targetPort": GRPC, "protocol": "TCP"},
            {"name": REST, "port": REST_PORT, "targetPort": REST, "protocol": "TCP"},
        ],
    }


def _ingress(config: KubernetesConfig) -> list[Manifest]:
    clients: Manifest = {"podSelector": _matching(config.allowed_pods)}
    if config.allowed_namespaces:
        clients["namespaceSelector"] = _named(config.allowed_namespaces)
    rules: list[Manifest] = [{"from": [clients], "ports": [_tcp(GRPC_PORT), _tcp(REST_PORT)]}]
    if config.metrics_namespaces:
        scrapers = {"namespaceSelector": _named(config.metrics_namespaces)}
        rules.append({"from": [scrapers], "ports": [_tcp(REST_PORT)]})
    return rules


def _egress(location: ModelLocation) -> list[Manifest]:
    if not location.in_bucket:
        return []
    rules: list[Manifest] = [
        {"ports": [{"protocol": "UDP", "port": _DNS_PORT}, _tcp(_DNS_PORT)]},
        {"ports": [_tcp(_HTTPS_PORT)]},
    ]
    if location.scheme == "gs":
        rules.extend(
            {"to": [{"ipBlock": {"cidr": address}}], "ports": [_tcp(port) for port in ports]}
            for address, ports in _METADATA_SERVERS.items()
        )
    return rules


def _matching(labels: dict[str, str]) -> Manifest:
    return {"matchLabels": dict(sorted(labels.items()))} if labels else {}


def _named(namespaces: Sequence[str]) -> Manifest:
    # Kubernetes sets this label on every namespace.
    values = sorted(set(namespaces))
    return {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": values}
        ]
    }


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}
