"""Names and labels of what serves a model in a cluster."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

Manifest = dict[str, Any]

KSERVE_LABEL: Final = "serving.kserve.io/inferenceservice"

# What Kubernetes and KServe put behind a name has to fit into 63 characters too.
_LONGEST_NAME = 40
_DIGEST_DIGITS = 10


def dns_label(model_name: str) -> str:
    """A model's name as the name of a Service: lower-case letters, digits and -, a letter first.

    A name that is too long is cut, and ends with a part of its digest.
    """
    label = re.sub(r"[^a-z0-9]+", "-", model_name.lower()).strip("-")
    if not label[:1].isalpha():
        label = f"model-{label}".rstrip("-")
    if len(label) <= _LONGEST_NAME:
        return label
    ending = digest(model_name)
    return f"{label[: _LONGEST_NAME - len(ending) - 1].rstrip('-')}-{ending}"


def digest(text: str) -> str:
    """Part of a SHA-256 that tells texts apart in a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


@dataclass(frozen=True)
class Identity:
    """How the objects that serve one model are called and found.

    Attributes:
        model_name: in requests.
        namespace: of all objects.
        made_by_kserve: whether KServe makes the pods, which then bear its label.
    """

    model_name: str
    namespace: str
    made_by_kserve: bool

    @property
    def name(self) -> str:
        """Of the objects; some have more behind it."""
        return dns_label(self.model_name)

    @property
    def pod_labels(self) -> dict[str, str]:
        """What the pods are found by."""
        if self.made_by_kserve:
            return {KSERVE_LABEL: self.name}
        return {
            "app.kubernetes.io/name": "tensorflow-serving",
            "app.kubernetes.io/instance": self.name,
        }

    @property
    def labels(self) -> dict[str, str]:
        """Of the objects."""
        return {
            "app.kubernetes.io/name": "tensorflow-serving",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": "model-server",
            "app.kubernetes.io/part-of": "movierec",
            "app.kubernetes.io/managed-by": "movierec",
        }

    def manifest(self, api_version: str, kind: str, suffix: str = "", **rest: Any) -> Manifest:
        """An object of this model's, its name followed by the suffix."""
        metadata: Manifest = {
            "name": f"{self.name}{suffix}",
            "namespace": self.namespace,
            "labels": self.labels,
        }
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
