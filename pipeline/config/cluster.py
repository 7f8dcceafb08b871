"""The machines that a cluster trains on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from pipeline.config.kubernetes import (
    AccountName,
    Cpu,
    Label,
    Memory,
    Namespace,
    check_labels,
    check_not_nothing,
)
from pipeline.config.section import Section

ProjectId = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")
]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]+-[a-z]+[0-9]+$")]
# A service account of Google Cloud, by its e-mail address.
GoogleAccount = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]


class VertexConfig(Section):
    """The machines of Vertex AI that a model is trained on."""

    project: ProjectId | None = Field(
        None, description="id of the Google Cloud project; training on several workers needs it"
    )
    region: Region | None = Field(None, description="where several workers train, who need it")
    machine_type: str = Field(
        "n1-standard-8",
        pattern=r"^[a-z0-9-]+$",
        description="of the Trainer, of each of its workers, and of the Tuner",
    )
    service_account: GoogleAccount | None = Field(
        None, description="whose rights several workers have; Vertex AI's own if not given"
    )


class Toleration(Section):
    """A taint of nodes that a pod may run on all the same."""

    key: Label = Field(description="of the taint")
    operator: Literal["Exists", "Equal"] = Field("Exists", description="how its value is compared")
    value: Annotated[str, StringConstraints(pattern=r"^[-A-Za-z0-9_.]{0,63}$")] = Field(
        "", description="that Equal compares with"
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="of the taint; any if not given"
    )

    @model_validator(mode="after")
    def _compares_something(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            raise ValueError(f'value {self.value} is compared by operator "Equal" only')
        return self


EndpointUrl = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")]


class KfpConfig(Section):
    """The nodes of a Kubernetes cluster that a model is trained on, and its steps' storage."""

    namespace: Namespace = Field("kubeflow", description="where several workers run")
    accelerator_resource: Label = Field(
        "nvidia.com/gpu", description="what the cluster calls its GPUs"
    )
    node_selector: dict[str, str] | None = Field(
        None, description="labels of the nodes; those of GKE for the GPU type if not given"
    )
    tolerations: tuple[Toleration, ...] | None = Field(
        None, description="taints of the nodes; that of the GPUs if not given"
    )
    cpu_limit: Cpu | None = Field(None, description="cores of each machine at most")
    memory_limit: Memory | None = Field(None, description="bytes of each machine at most")
    service_account: AccountName | None = Field(
        None, description="whose rights several workers have; the namespace's own if not given"
    )
    storage_endpoint: EndpointUrl | None = Field(
        None, description="server that s3:// and minio:// are on; Amazon S3 if not given"
    )
    storage_secret: AccountName | None = Field(
        None, description="Secret with its credentials; those of the steps' account if not given"
    )

    @field_validator("node_selector")
    @classmethod
    def _labels(cls, labels: dict[str, str] | None) -> dict[str, str] | None:
        return None if labels is None else check_labels(labels)

    @field_validator("cpu_limit", "memory_limit")
    @classmethod
    def _not_nothing(cls, quantity: str | None) -> str | None:
        return None if quantity is None else check_not_nothing(quantity)
