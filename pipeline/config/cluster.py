"""Training on the machines of a cluster: how many, of which kind, and with which rights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from models.options import TrainingOptions
from pipeline.config.kubernetes import (
    AccountName,
    Cpu,
    Label,
    Memory,
    Namespace,
    check_labels,
    check_positive,
)
from pipeline.config.section import Section

ProjectId = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")
]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]+-[a-z]+[0-9]+$")]
# The e-mail address of a service account of Google Cloud.
GoogleAccount = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]


class TrainingConfig(TrainingOptions):
    """Options of the training, and the machines that a cluster gives it.

    `movierec run` trains on this machine and does not use the keys about machines.
    """

    workers: int = Field(1, ge=1, le=64, description="Machines that train together in a cluster.")
    accelerator: str | None = Field(
        None,
        pattern=r"^[A-Z0-9_]+$",
        description="GPU type of each machine, such as NVIDIA_TESLA_T4; none if not set.",
    )
    accelerator_count: int = Field(1, ge=1, le=16, description="GPUs of each machine.")

    @property
    def options(self) -> TrainingOptions:
        """The options that the Trainer receives; its result does not depend on the machines."""
        return TrainingOptions.model_validate(
            self.model_dump(include=set(TrainingOptions.model_fields))
        )


class VertexConfig(Section):
    """Training on Vertex AI."""

    project: ProjectId | None = Field(
        None, description="Id of the Google Cloud project; required if training.workers > 1."
    )
    region: Region | None = Field(
        None, description="Region of the training; required if training.workers > 1."
    )
    machine_type: str = Field(
        "n1-standard-8",
        pattern=r"^[a-z0-9-]+$",
        description="Machine type of the Trainer, of each worker and of the Tuner.",
    )
    service_account: GoogleAccount | None = Field(
        None, description="Service account if training.workers > 1; Vertex AI's own if not set."
    )


class Toleration(Section):
    """A taint of nodes on which a pod may run all the same."""

    key: Label = Field(description="Key of the taint.")
    operator: Literal["Exists", "Equal"] = Field(
        "Exists", description="Exists accepts any value of the taint, Equal only `value`."
    )
    value: Annotated[str, StringConstraints(pattern=r"^[-A-Za-z0-9_.]{0,63}$")] = Field(
        "", description="Value of the taint; only for operator Equal."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; any if not set."
    )

    @model_validator(mode="after")
    def _check_value(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            raise ValueError(f'value {self.value} needs operator "Equal"')
        return self


EndpointUrl = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")]


class KfpConfig(Section):
    """Training and storage on Kubeflow Pipelines."""

    namespace: Namespace = Field(
        "kubeflow", description="Namespace of the workers if training.workers > 1."
    )
    accelerator_resource: Label = Field(
        "nvidia.com/gpu", description="Resource name of the cluster's GPUs."
    )
    node_selector: dict[str, str] | None = Field(
        None, description="Labels of the nodes; GKE's label of the GPU type if not set."
    )
    tolerations: tuple[Toleration, ...] | None = Field(
        None, description="Tolerated taints of the nodes; the taint of GPU nodes if not set."
    )
    cpu_limit: Cpu | None = Field(None, description="Most cores of each machine.")
    memory_limit: Memory | None = Field(None, description="Most memory of each machine.")
    service_account: AccountName | None = Field(
        None,
        description="Service account of the workers if training.workers > 1; the namespace's own "
        "if not set.",
    )
    storage_endpoint: EndpointUrl | None = Field(
        None, description="URL of the server of s3:// and minio://; Amazon S3 if not set."
    )
    storage_secret: AccountName | None = Field(
        None,
        description="Secret with the storage's credentials; the steps' account if not set.",
    )

    @field_validator("node_selector")
    @classmethod
    def _check_labels(cls, labels: dict[str, str] | None) -> dict[str, str] | None:
        return None if labels is None else check_labels(labels)

    @field_validator("cpu_limit", "memory_limit")
    @classmethod
    def _check_limit(cls, quantity: str | None) -> str | None:
        return None if quantity is None else check_positive(quantity)
