"""What keeps enough replicas, and the account that they run under."""

from __future__ import annotations

from kubeflow.manifests.identity import Identity, Manifest
from pipeline.config.kubernetes import KubernetesConfig

# Before a replica that is no longer needed goes.
_CALM_SECONDS = 300


def service_account(identity: Identity) -> Manifest:
    """An account without rights whose token no pod gets."""
    return identity.manifest("v1", "ServiceAccount", automountServiceAccountToken=False)


def autoscaler(config: KubernetesConfig, identity: Identity) -> Manifest:
    """Replicas by their CPU; the Deployment itself names no number."""
    return identity.manifest(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": identity.name,
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
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": _CALM_SECONDS}},
        },
    )


def roll_out() -> Manifest:
    """A strategy by which a version that does not load takes no replica from one that serves."""
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def disruption_budget(identity: Identity) -> Manifest:
    """One replica at a time may be moved; one that is not ready is in nobody's way."""
    return identity.manifest(
        "policy/v1",
        "PodDisruptionBudget",
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": identity.pod_labels},
        },
    )
