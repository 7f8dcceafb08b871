"""How a model server is reached, and what may reach it."""

from __future__ import annotations

from collections.abc import Sequence

from kubeflow.manifests.identity import Identity, Manifest
from kubeflow.manifests.pods import GRPC, GRPC_PORT, REST, REST_PORT
from pipeline.config.kubernetes import KubernetesConfig
from pipeline.config.locations import ModelLocation

HEADLESS_SUFFIX = "-headless"

_HTTPS_PORT = 443
_DNS_PORT = 53
# Google's metadata server gives a pod the tokens of its service account. Which of the two addresses
# a policy sees depends on the cluster's network: what was asked for, or where it is redirected to.
_METADATA_SERVERS = {"169.254.169.254/32": (80, 8080), "169.254.169.252/32": (987, 988)}


def service(identity: Identity) -> Manifest:
    """One address for all replicas; a connection stays with one of them."""
    return identity.manifest("v1", "Service", spec={"type": "ClusterIP", **_service_spec(identity)})


def headless_service(identity: Identity) -> Manifest:
    """A name that resolves to every ready replica, for clients that balance over them."""
    return identity.manifest(
        "v1", "Service", HEADLESS_SUFFIX, spec={"clusterIP": "None", **_service_spec(identity)}
    )


def network_policy(
    config: KubernetesConfig, identity: Identity, location: ModelLocation
) -> Manifest:
    """Lets in what the configuration names, and out nothing but what reading a bucket needs."""
    return identity.manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec={
            "podSelector": {"matchLabels": identity.pod_labels},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": _ingress(config),
            "egress": _egress(location),
        },
    )


def _service_spec(identity: Identity) -> Manifest:
    return {
        "selector": identity.pod_labels,
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
    # Kubernetes itself gives every namespace this label.
    values = sorted(set(namespaces))
    return {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": values}
        ]
    }


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}
