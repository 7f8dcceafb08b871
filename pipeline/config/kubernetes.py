"""The configuration of model servers in a Kubernetes cluster."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from pipeline.config.locations import ModelLocation, image_problem
from pipeline.config.section import Section
from serving.defaults import SERVING_IMAGE

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = rf"({_LABEL}(\.{_LABEL})*/)?{_LABEL_VALUE}"

Namespace = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$")]
AccountName = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253)]
Label = Annotated[str, StringConstraints(pattern=rf"^{_LABEL_KEY}$")]


def _check_image(image: str) -> str:
    """Returns the image if it names one fixed build: what is served must not change by itself."""
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
    """Returns the number of cores or bytes of a Kubernetes quantity, such as 500m or 2Gi."""
    number = quantity.rstrip("".join(_UNITS))
    unit = quantity.removeprefix(number)
    return Decimal(number) * _UNITS.get(unit, Decimal(1))


def check_positive(quantity: str) -> str:
    """Returns a quantity that is above zero.

    Raises:
        ValueError: The quantity is zero.
    """
    if not amount(quantity):
        raise ValueError("expected a quantity above zero")
    return quantity


def check_labels(labels: dict[str, str]) -> dict[str, str]:
    """Returns valid labels.

    Raises:
        ValueError: Kubernetes does not accept one of them.
    """
    for key, value in labels.items():
        if not re.fullmatch(_LABEL_KEY, key) or not re.fullmatch(f"({_LABEL_VALUE})?", value):
            raise ValueError(f"{key}={value} is not a valid Kubernetes label")
    return labels


class KubernetesConfig(Section):
    """The objects that `movierec serving-manifests` renders."""

    kind: Literal["deployment", "kserve"] = Field(
        "deployment", description="deployment for plain Kubernetes objects, or kserve."
    )
    kserve_deployment_mode: Literal["RawDeployment", "Standard"] = Field(
        "RawDeployment",
        description="KServe's name of its mode without Knative: RawDeployment, or Standard for "
        "KServe 0.16.",
    )
    namespace: Namespace = Field("movierec", description="Namespace of all objects; it must exist.")
    image: Image = Field(SERVING_IMAGE, description="Image of the server, with a tag or a digest.")
    model_location: str | None = Field(
        None, description="Folder of the versions: pvc://CLAIM/PATH, gs:// or s3://BUCKET/PATH."
    )
    model_version: int | None = Field(
        None, ge=1, lt=2**63, description="The only version to serve; the newest if not set."
    )
    poll_seconds: int = Field(30, ge=1, description="Seconds between checks for a new version.")
    startup_seconds: int = Field(
        600, ge=10, description="Seconds that a server may take to load its first version."
    )
    min_replicas: int = Field(2, ge=1, le=1000, description="Fewest servers.")
    max_replicas: int = Field(6, ge=1, le=1000, description="Most servers.")
    target_cpu_percent: int = Field(
        70, ge=1, le=1000, description="Mean CPU use, in percent of the request, that adds servers."
    )
    cpu_request: Cpu = Field("1", description="Cores that a server is guaranteed.")
    cpu_limit: Cpu = Field("2", description="Most cores; the server computes with as many threads.")
    memory_request: Memory = Field(
        "1Gi", description="Memory that a server is guaranteed; see memory_limit."
    )
    memory_limit: Memory = Field(
        "2Gi",
        description="Most memory of a server, which holds two versions while one replaces the "
        "other.",
    )
    user_id: int = Field(
        10001, ge=1, lt=2**31, description="User and group id of the server; never root."
    )
    service_account: AccountName | None = Field(
        None, description="Existing service account; a new one without rights if not set."
    )
    allowed_namespaces: tuple[Namespace, ...] = Field(
        (), description="Namespaces whose pods may connect; the server's own if empty."
    )
    allowed_pods: dict[str, str] = Field(
        {}, description="Labels of the pods that may connect; all pods of the namespaces if empty."
    )
    metrics_namespaces: tuple[Namespace, ...] = Field(
        (), description="Namespaces whose pods may read the metrics at the HTTP port."
    )

    @field_validator("model_location")
    @classmethod
    def _check_location(cls, text: str | None) -> str | None:
        return None if text is None else ModelLocation.parse(text).uri

    @field_validator("allowed_pods")
    @classmethod
    def _check_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        return check_labels(labels)

    @field_validator("cpu_request", "cpu_limit", "memory_request", "memory_limit")
    @classmethod
    def _check_quantity(cls, quantity: str) -> str:
        return check_positive(quantity)

    @model_validator(mode="after")
    def _check_ranges(self) -> KubernetesConfig:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}"
            )
        for request, limit in (
            ("cpu_request", "cpu_limit"),
            ("memory_request", "memory_limit"),
        ):
            requested, most = getattr(self, request), getattr(self, limit)
            if amount(requested) > amount(most):
                raise ValueError(f"{request} {requested} is above {limit} {most}")
        return self

    @model_validator(mode="after")
    def _check_server_can_read(self) -> KubernetesConfig:
        location = self.location
        if self.kind == "deployment" and location is not None and location.scheme == "s3":
            raise ValueError(
                f"model_location {location.uri}: TensorFlow Serving cannot read s3:// itself; use "
                "kind kserve, which copies the model, or a pvc:// or gs:// location"
            )
        return self

    @property
    def location(self) -> ModelLocation | None:
        """Folder of the versions; None if it is not set."""
        return None if self.model_location is None else ModelLocation.parse(self.model_location)
