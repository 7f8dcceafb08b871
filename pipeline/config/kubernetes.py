"""How a model is served in a Kubernetes cluster."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from pipeline.config.image_reference import image_problem
from pipeline.config.locations import ModelLocation
from pipeline.config.section import Section
from serving.defaults import SERVING_IMAGE

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = rf"({_LABEL}(\.{_LABEL})*/)?{_LABEL_VALUE}"

Namespace = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$")]
AccountName = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253)]
Label = Annotated[str, StringConstraints(pattern=rf"^{_LABEL_KEY}$")]


def _check_image(image: str) -> str:
    """The image: what is served must not change by itself."""
    problem = image_problem(image, SERVING_IMAGE)
    if problem is not None:
        raise ValueError(problem)
    return image


Image = Annotated[str, AfterValidator(_check_image)]
Cpu = Annotated[str, StringConstraints(pattern=r"^(\d{1,4}(\.\d{1,3})?|\d{1,7}m)$")]
Memory = Annotated[str, StringConstraints(pattern=r"^\d{1,15}(k|M|G|T|Ki|Mi|Gi|Ti)?$")]

_UNITS = {
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


def amount(quantity: str) -> Decimal:
    """Cores or bytes that a Kubernetes quantity stands for, such as 500m or 2Gi."""
    number = quantity.rstrip("".join(_UNITS))
    unit = quantity.removeprefix(number)
    return Decimal(number) * _UNITS.get(unit, Decimal(1))


def check_not_nothing(quantity: str) -> str:
    """The quantity.

    Raises:
        ValueError: it is zero.
    """
    if not amount(quantity):
        raise ValueError("more than nothing is needed")
    return quantity


def check_labels(labels: dict[str, str]) -> dict[str, str]:
    """The labels.

    Raises:
        ValueError: Kubernetes does not take one of them.
    """
    for key, value in labels.items():
        if not re.fullmatch(_LABEL_KEY, key) or not re.fullmatch(f"({_LABEL_VALUE})?", value):
            raise ValueError(f"{key}={value} is not a label of Kubernetes")
    return labels


class KubernetesConfig(Section):
    """What `movierec serving-manifests` renders."""

    kind: Literal["deployment", "kserve"] = Field(
        "deployment", description="plain Kubernetes objects, or a KServe InferenceService"
    )
    namespace: Namespace = Field("default", description="where everything goes; must exist")
    image: Image = Field(SERVING_IMAGE, description="with a tag or a digest")
    model_location: str | None = Field(
        None, description="folder of the versions, as pvc://CLAIM/PATH, gs:// or s3://BUCKET/PATH"
    )
    model_version: int | None = Field(
        None, ge=1, lt=2**63, description="the one version to serve; the newest if not given"
    )
    poll_seconds: int = Field(30, ge=1, description="between two looks for a new version")
    startup_seconds: int = Field(
        600, ge=10, description="that a server may take to load its first version"
    )
    min_replicas: int = Field(2, ge=1, le=1000, description="servers at least")
    max_replicas: int = Field(6, ge=1, le=1000, description="servers at most")
    target_cpu_percent: int = Field(
        70, ge=1, le=1000, description="of the CPU request, above which replicas are added"
    )
    cpu_request: Cpu = Field("1", description="cores")
    cpu_limit: Cpu = Field("2", description="cores; as many threads compute")
    memory_request: Memory = Field("1Gi", description="bytes")
    memory_limit: Memory = Field("2Gi", description="bytes")
    user_id: int = Field(
        1000, ge=1, lt=2**31, description="user and group that the server runs as, never root"
    )
    service_account: AccountName | None = Field(
        None, description="one that exists; its own, without rights, if not given"
    )
    allowed_namespaces: tuple[Namespace, ...] = Field(
        (), description="whose pods may connect; the server's own if none"
    )
    allowed_pods: dict[str, str] = Field(
        {}, description="labels of the pods that may connect; all of those namespaces if none"
    )
    metrics_namespaces: tuple[Namespace, ...] = Field(
        (), description="whose pods may connect to the HTTP port, for metrics"
    )

    @field_validator("model_location")
    @classmethod
    def _location(cls, text: str | None) -> str | None:
        return None if text is None else ModelLocation.parse(text).uri

    @field_validator("allowed_pods")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        return check_labels(labels)

    @field_validator("cpu_request", "cpu_limit", "memory_request", "memory_limit")
    @classmethod
    def _not_nothing(cls, quantity: str) -> str:
        return check_not_nothing(quantity)

    @model_validator(mode="after")
    def _fits_together(self) -> KubernetesConfig:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}"
            )
        for request, limit in (
            ("cpu_request", "cpu_limit"),
            ("memory_request", "memory_limit"),
        ):
            asked, most = getattr(self, request), getattr(self, limit)
            if amount(asked) > amount(most):
                raise ValueError(f"{request} {asked} is above {limit} {most}")
        return self

    @model_validator(mode="after")
    def _can_be_read(self) -> KubernetesConfig:
        location = self.location
        if self.kind == "deployment" and location is not None and location.scheme == "s3":
            raise ValueError(
                f"model_location {location.uri} cannot be read by TensorFlow Serving itself: take "
                "kind kserve, which copies it, or a pvc:// or gs:// location"
            )
        return self

    @property
    def location(self) -> ModelLocation | None:
        """Where the versions are, if given."""
        return None if self.model_location is None else ModelLocation.parse(self.model_location)
