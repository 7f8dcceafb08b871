"""Which GPUs each platform has, and on which machines. Nothing heavy is imported here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pipeline.config.errors import UserError, listed

_TYPE: Final = "training.accelerator"
_COUNT: Final = "training.accelerator_count"
_MACHINE: Final = "vertex.machine_type"


@dataclass(frozen=True)
class Machine:
    """A machine of Vertex AI, or the most that a machine may have.

    Attributes:
        cores: virtual ones.
        gigabytes: of memory.
    """

    cores: int
    gigabytes: float


# By family: gigabytes for each core, and the numbers of cores that there are.
_FAMILIES: Final[dict[str, tuple[float, tuple[int, ...]]]] = {
    "n1-standard": (3.75, (4, 8, 16, 32, 64, 96)),
    "n1-highmem": (6.5, (2, 4, 8, 16, 32, 64, 96)),
    "n1-highcpu": (0.9, (16, 32, 64, 96)),
    "n2-standard": (4, (4, 8, 16, 32, 48, 64, 80)),
    "n2-highmem": (8, (2, 4, 8, 16, 32, 48, 64, 80)),
    "n2-highcpu": (1, (16, 32, 48, 64, 80)),
    "e2-standard": (4, (4, 8, 16, 32)),
    "e2-highmem": (8, (2, 4, 8, 16)),
    "e2-highcpu": (1, (16, 32)),
    "c2-standard": (4, (4, 8, 16, 30, 60)),
}

# GPUs that are attached to a machine of this series: the largest one for each number of them.
_ATTACHED_TO: Final = "n1-"
_ATTACHED: Final[dict[str, dict[int, Machine]]] = {
    "NVIDIA_TESLA_T4": {1: Machine(24, 156), 2: Machine(48, 312), 4: Machine(96, 624)},
    "NVIDIA_TESLA_P4": {1: Machine(24, 156), 2: Machine(48, 312), 4: Machine(96, 624)},
    "NVIDIA_TESLA_P100": {1: Machine(16, 104), 2: Machine(32, 208), 4: Machine(64, 208)},
    "NVIDIA_TESLA_V100": {
        1: Machine(12, 78),
        2: Machine(24, 156),
        4: Machine(48, 312),
        8: Machine(96, 624),
    },
}

# GPUs that machines are built with: how many by machine.
_BUILT_IN: Final[dict[str, dict[str, tuple[int, Machine]]]] = {
    "NVIDIA_L4": {
        "g2-standard-4": (1, Machine(4, 16)),
        "g2-standard-8": (1, Machine(8, 32)),
        "g2-standard-12": (1, Machine(12, 48)),
        "g2-standard-16": (1, Machine(16, 64)),
        "g2-standard-24": (2, Machine(24, 96)),
        "g2-standard-32": (1, Machine(32, 128)),
        "g2-standard-48": (4, Machine(48, 192)),
        "g2-standard-96": (8, Machine(96, 384)),
    },
    "NVIDIA_TESLA_A100": {
        "a2-highgpu-1g": (1, Machine(12, 85)),
        "a2-highgpu-2g": (2, Machine(24, 170)),
        "a2-highgpu-4g": (4, Machine(48, 340)),
        "a2-highgpu-8g": (8, Machine(96, 680)),
        "a2-megagpu-16g": (16, Machine(96, 1360)),
    },
    "NVIDIA_A100_80GB": {
        "a2-ultragpu-1g": (1, Machine(12, 170)),
        "a2-ultragpu-2g": (2, Machine(24, 340)),
        "a2-ultragpu-4g": (4, Machine(48, 680)),
        "a2-ultragpu-8g": (8, Machine(96, 1360)),
    },
    "NVIDIA_H100_80GB": {
        "a3-highgpu-1g": (1, Machine(26, 234)),
        "a3-highgpu-2g": (2, Machine(52, 468)),
        "a3-highgpu-4g": (4, Machine(104, 936)),
        "a3-highgpu-8g": (8, Machine(208, 1872)),
    },
    "NVIDIA_H100_MEGA_80GB": {"a3-megagpu-8g": (8, Machine(208, 1872))},
    "NVIDIA_H200_141GB": {"a3-ultragpu-8g": (8, Machine(224, 2952))},
    "NVIDIA_B200": {"a4-highgpu-8g": (8, Machine(224, 3968))},
    "NVIDIA_RTX_PRO_6000": {
        "g4-standard-48": (1, Machine(48, 180)),
        "g4-standard-96": (2, Machine(96, 360)),
        "g4-standard-192": (4, Machine(192, 720)),
        "g4-standard-384": (8, Machine(384, 1440)),
    },
}

VERTEX: Final = (*_ATTACHED, *_BUILT_IN)

# What Google's Kubernetes Engine labels its nodes with, by type.
GKE_LABEL: Final = "cloud.google.com/gke-accelerator"
GKE: Final = {
    "NVIDIA_TESLA_T4": "nvidia-tesla-t4",
    "NVIDIA_TESLA_P4": "nvidia-tesla-p4",
    "NVIDIA_TESLA_P100": "nvidia-tesla-p100",
    "NVIDIA_TESLA_V100": "nvidia-tesla-v100",
    "NVIDIA_L4": "nvidia-l4",
    "NVIDIA_TESLA_A100": "nvidia-tesla-a100",
    "NVIDIA_A100_80GB": "nvidia-a100-80gb",
    "NVIDIA_H100_80GB": "nvidia-h100-80gb",
    "NVIDIA_H100_MEGA_80GB": "nvidia-h100-mega-80gb",
    "NVIDIA_H200_141GB": "nvidia-h200-141gb",
    "NVIDIA_B200": "nvidia-b200",
    "NVIDIA_RTX_PRO_6000": "nvidia-rtx-pro-6000",
}


def machine(machine_type: str) -> Machine:
    """What a machine of Vertex AI has.

    Raises:
        UserError: there is no such machine.
    """
    for machines in _BUILT_IN.values():
        if machine_type in machines:
            return machines[machine_type][1]
    family, _, size = machine_type.rpartition("-")
    gigabytes, sizes = _FAMILIES.get(family, (0.0, ()))
    if size not in map(str, sizes):
        known = [f"{family}-{cores}" for cores in sizes] or _series()
        raise UserError(
            f"{_MACHINE}={machine_type}: vertex does not know it; expected {listed(known, 'or')}"
        )
    return Machine(int(size), round(int(size) * gigabytes, 1))


def check_count(accelerator: str | None, count: int) -> None:
    """Whether GPUs of some type are asked for, if several are.

    Raises:
        UserError: they are of no type.
    """
    if accelerator is None and count != 1:
        raise UserError(f"{_COUNT}={count}: of no type; expected {_TYPE} beside it")


def check_vertex(accelerator: str | None, count: int, machine_type: str) -> None:
    """Whether Vertex AI has such a machine with so many GPUs of the type.

    Raises:
        UserError: it has no such type, no such machine, or not with so many of them.
    """
    if accelerator is not None and accelerator not in VERTEX:
        raise UserError(
            f"{_TYPE}={accelerator}: vertex does not know it; expected {listed(VERTEX, 'or')}"
        )
    found = machine(machine_type)
    if accelerator is None:
        _check_without(machine_type)
        return
    counts = _counts(accelerator, machine_type, found)
    if not counts:
        raise UserError(
            f"{_MACHINE}={machine_type}: carries no {accelerator}; expected "
            f"{listed(_carriers(accelerator, count), 'or')}"
        )
    if count not in counts:
        raise UserError(
            f"{_COUNT}={count}: {machine_type} carries {listed(map(str, counts), 'or')} "
            f"{accelerator}; expected such a number, or another {_MACHINE}"
        )


def check_gke(accelerator: str) -> None:
    """Whether Google's Kubernetes Engine has nodes with the type.

    Raises:
        UserError: it has not.
    """
    if accelerator not in GKE:
        raise UserError(
            f"{_TYPE}={accelerator}: kfp does not know it; expected {listed(GKE, 'or')}, or, for "
            f"nodes that are not Google's, kfp.node_selector beside it"
        )


def _series() -> list[str]:
    """What machines are called, with N for their size."""
    built = (name for machines in _BUILT_IN.values() for name in machines)
    return list(
        dict.fromkeys([*(f"{family}-N" for family in _FAMILIES), *map(_without_size, built)])
    )


def _without_size(machine_type: str) -> str:
    return re.sub(r"\d+(g?)$", r"N\1", machine_type)


def _check_without(machine_type: str) -> None:
    for accelerator, machines in _BUILT_IN.items():
        if machine_type in machines:
            count = machines[machine_type][0]
            raise UserError(
                f"{_MACHINE}={machine_type}: carries {count} {accelerator}; expected "
                f"{_TYPE}={accelerator} and {_COUNT}={count} beside it"
            )


def _counts(accelerator: str, machine_type: str, found: Machine) -> list[int]:
    """How many GPUs of the type the machine may have."""
    if accelerator in _BUILT_IN:
        machines = _BUILT_IN[accelerator]
        return [machines[machine_type][0]] if machine_type in machines else []
    if not machine_type.startswith(_ATTACHED_TO):
        return []
    return [
        count
        for count, most in _ATTACHED[accelerator].items()
        if found.cores <= most.cores and found.gigabytes <= most.gigabytes
    ]


def _carriers(accelerator: str, count: int) -> list[str]:
    """The machines that carry so many GPUs of the type, or all that carry it if none does."""
    names = [
        *(f"{family}-{cores}" for family, (_, sizes) in _FAMILIES.items() for cores in sizes),
        *_BUILT_IN.get(accelerator, ()),
    ]
    counts = {name: _counts(accelerator, name, machine(name)) for name in names}
    return [name for name in names if count in counts[name]] or [n for n in names if counts[n]]
