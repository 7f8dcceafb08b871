"""Checks of GPUs and machines against `accelerators.toml`. Nothing heavy is imported here."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from pipeline.config.errors import UserError, listed

_TYPE: Final = "training.accelerator"
_COUNT: Final = "training.accelerator_count"
_MACHINE: Final = "vertex.machine_type"
_TABLES: Final = Path(__file__).with_suffix(".toml")
_GKE_LABEL: Final = "cloud.google.com/gke-accelerator"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Table):
    """A machine of Vertex AI, or the largest that is allowed.

    Attributes:
        cores: Number of virtual cores.
        memory_gb: Memory in gigabytes.
    """

    cores: int
    memory_gb: float


class GpuMachine(Machine):
    """A machine with built-in GPUs.

    Attributes:
        gpus: Number of GPUs.
    """

    gpus: int


class Family(_Table):
    """Machine types that differ in their size alone.

    Attributes:
        memory_gb: Memory for each core in gigabytes.
        cores: Numbers of cores on offer.
    """

    memory_gb: float
    cores: tuple[int, ...]


class AttachedGpu(_Table):
    """A GPU that can be attached to machines.

    Attributes:
        gke_label: Value of the label of its nodes in Google Kubernetes Engine.
        series: Series of the machines that it can be attached to.
        largest: Largest machine by number of GPUs.
    """

    gke_label: str
    series: str
    largest: dict[int, Machine]


class BuiltInGpu(_Table):
    """A GPU that is part of machines.

    Attributes:
        gke_label: Value of the label of its nodes in Google Kubernetes Engine.
        machines: Machines with it by machine type.
    """

    gke_label: str
    machines: dict[str, GpuMachine]


class Tables(_Table):
    """What `accelerators.toml` contains.

    Attributes:
        families: Machine types without GPUs of their own by family.
        attached: GPUs that can be attached to machines by type.
        built_in: GPUs that are part of machines by type.
    """

    families: dict[str, Family]
    attached: dict[str, AttachedGpu]
    built_in: dict[str, BuiltInGpu]

    @property
    def gpus(self) -> dict[str, AttachedGpu | BuiltInGpu]:
        """All GPUs by type."""
        return {**self.attached, **self.built_in}


@cache
def tables() -> Tables:
    """Returns the content of `accelerators.toml`."""
    return Tables.model_validate(tomllib.loads(_TABLES.read_text(encoding="utf-8")))


def machine(machine_type: str) -> Machine:
    """Returns the size of a machine of Vertex AI.

    Raises:
        UserError: Vertex AI has no such machine type.
    """
    for gpu in tables().built_in.values():
        if machine_type in gpu.machines:
            return gpu.machines[machine_type]
    name, _, size = machine_type.rpartition("-")
    family = tables().families.get(name)
    if family is None or size not in map(str, family.cores):
        known = [f"{name}-{cores}" for cores in family.cores] if family else _series()
        raise UserError(
            f"{_MACHINE}={machine_type}: unknown to vertex; expected {listed(known, 'or')}"
        )
    return Machine(cores=int(size), memory_gb=round(int(size) * family.memory_gb, 1))


def check_count(accelerator: str | None, count: int) -> None:
    """Checks that a number of GPUs comes with their type.

    Raises:
        UserError: The number is above one and there is no type.
    """
    if accelerator is None and count != 1:
        raise UserError(f"{_COUNT}={count}: {_TYPE} is not set; expected both or neither")


def check_vertex(accelerator: str | None, count: int, machine_type: str) -> None:
    """Checks that Vertex AI has the machine with this number of GPUs of the type.

    Raises:
        UserError: The type or the machine is unknown, or does not come with so many GPUs.
    """
    gpus = tables().gpus
    if accelerator is not None and accelerator not in gpus:
        raise UserError(f"{_TYPE}={accelerator}: unknown to vertex; expected {listed(gpus, 'or')}")
    size = machine(machine_type)
    if accelerator is None:
        _check_without_gpus(machine_type)
        return
    counts = _counts(accelerator, machine_type, size)
    if not counts:
        raise UserError(
            f"{_MACHINE}={machine_type}: has no {accelerator}; expected "
            f"{listed(_machine_types(accelerator, count), 'or')}"
        )
    if count not in counts:
        raise UserError(
            f"{_COUNT}={count}: {machine_type} has {listed(map(str, counts), 'or')} "
            f"{accelerator}; expected such a number, or another {_MACHINE}"
        )


def check_gke(accelerator: str) -> None:
    """Checks that Google Kubernetes Engine has nodes with the type of GPU.

    Raises:
        UserError: The type is unknown.
    """
    gpus = tables().gpus
    if accelerator not in gpus:
        raise UserError(
            f"{_TYPE}={accelerator}: unknown to Google Kubernetes Engine; expected "
            f"{listed(gpus, 'or')}; for other nodes, set kfp.node_selector too"
        )


def gke_labels(accelerator: str) -> dict[str, str]:
    """Returns the labels of nodes with a type of GPU in Google Kubernetes Engine."""
    return {_GKE_LABEL: tables().gpus[accelerator].gke_label}


def _series() -> list[str]:
    """Returns all names of machine types, with N for the size."""
    built_in = (name for gpu in tables().built_in.values() for name in gpu.machines)
    families = (f"{family}-N" for family in tables().families)
    return list(dict.fromkeys([*families, *map(_without_size, built_in)]))


def _without_size(machine_type: str) -> str:
    return re.sub(r"\d+(g?)$", r"N\1", machine_type)


def _check_without_gpus(machine_type: str) -> None:
    for accelerator, gpu in tables().built_in.items():
        if machine_type in gpu.machines:
            count = gpu.machines[machine_type].gpus
            raise UserError(
                f"{_MACHINE}={machine_type}: has {count} {accelerator}; expected "
                f"{_TYPE}={accelerator} and {_COUNT}={count} too"
            )


def _counts(accelerator: str, machine_type: str, size: Machine) -> list[int]:
    """Returns the numbers of GPUs of the type that the machine can have."""
    gpu = tables().gpus[accelerator]
    if isinstance(gpu, BuiltInGpu):
        found = gpu.machines.get(machine_type)
        return [found.gpus] if found else []
    if not machine_type.startswith(f"{gpu.series}-"):
        return []
    return [
        count
        for count, largest in gpu.largest.items()
        if size.cores <= largest.cores and size.memory_gb <= largest.memory_gb
    ]


def _machine_types(accelerator: str, count: int) -> list[str]:
    """Returns the machine types with so many GPUs of the type; if there are none, with any."""
    families = tables().families.items()
    names = [f"{family}-{cores}" for family, sizes in families for cores in sizes.cores]
    for gpu in tables().built_in.values():
        names += gpu.machines
    counts = {name: _counts(accelerator, name, machine(name)) for name in names}
    return [name for name in names if count in counts[name]] or [n for n in names if counts[n]]
