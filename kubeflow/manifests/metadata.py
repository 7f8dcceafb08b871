"""The names and labels of the Kubernetes objects that serve a model."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

Manifest = dict[str, Any]

KSERVE_LABEL: Final = "serving.kserve.io/inferenceservice"

# Kubernetes and KServe append to a name, and the result has to fit into 63 characters.
_LONGEST_NAME: Final = 40
_DIGEST_DIGITS: Final = 10


def dns_label(model_name: str) -> str:
    """Returns a model's name as a DNS label: lower-case letters, digits and -, a letter first.

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
    """Returns the first digits of a text's SHA-256, which tell texts apart in a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


@dataclass(frozen=True)
class ModelServerMetadata:
    """Name, namespace and labels of the objects that serve one model.

    Attributes:
        model_name: Name of the model in requests.
        namespace: Namespace of all objects.
        kserve: Whether KServe creates the pods, which then carry its label.
    """

    model_name: str
    namespace: str
    kserve: bool

    @property
    def name(self) -> str:
        """Name of the objects, to which some append a suffix."""
        return dns_label(self.model_name)

    @property
    def pod_labels(self) -> dict[str, str]:
        """Labels by which selectors find the pods."""
        if self.kserve:
            return {KSERVE_LABEL: self.name}
        return {
            "app.kubernetes.io/name": "tensorflow-serving",
            "app.kubernetes.io/instance": self.name,
        }

    @property
    def labels(self) -> dict[str, str]:
        """Labels of all objects."""
        return {
            "app.kubernetes.io/name": "tensorflow-serving",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": "model-server",
            "app.kubernetes.io/part-of": "movierec",
            "app.kubernetes.io/managed-by": "movierec",
        }

    def manifest(self, api_version: str, kind: str, suffix: str = "", **fields: Any) -> Manifest:
        """Returns an object with this metadata.

        Args:
            api_version: API group and version of the object.
            kind: Kind of the object.
            suffix: End of its name.
            fields: Further fields, such as `spec`.
        """
        metadata: Manifest = {
            "name": f"{self.name}{suffix}",
            "namespace": self.namespace,
            "labels": self.labels,
        }
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
