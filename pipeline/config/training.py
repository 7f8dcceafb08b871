"""How a model is trained, and on which machines of a cluster."""

from __future__ import annotations

from pydantic import Field

from models.options import TrainingOptions


class TrainingConfig(TrainingOptions):
    """The options of a training, and the machines that a cluster gives it.

    A run on this machine trains on what the machine has, whatever is asked of a cluster.
    """

    workers: int = Field(1, ge=1, le=64, description="machines of a cluster that train together")
    accelerator: str | None = Field(
        None,
        pattern=r"^[A-Z0-9_]+$",
        description="GPU type of each of them, as NVIDIA_TESLA_T4; none if not given",
    )
    accelerator_count: int = Field(1, ge=1, le=16, description="GPUs of each of them")

    @property
    def options(self) -> TrainingOptions:
        """What the Trainer is told: the result does not depend on where it is made."""
        return TrainingOptions.model_validate(
            self.model_dump(include=set(TrainingOptions.model_fields))
        )
