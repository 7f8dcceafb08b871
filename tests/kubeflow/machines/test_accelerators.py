"""What each platform has, held against what Google publishes of its GPUs and machines."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1.types import AcceleratorType

from kubeflow.machines import accelerators
from pipeline.config.errors import UserError

T4 = "NVIDIA_TESLA_T4"


def test_the_types_are_those_of_the_api() -> None:
    published = {kind.name for kind in AcceleratorType if kind.name.startswith("NVIDIA_")}
    # K80 has reached its end of support; GB200 has Arm cores, for which there is no image.
    assert set(accelerators.tables().gpus) == published - {"NVIDIA_TESLA_K80", "NVIDIA_GB200"}


@pytest.mark.parametrize(
    ("machine_type", "cores", "gigabytes"),
    [
        ("n1-standard-8", 8, 30),
        ("n1-highmem-96", 96, 624),
        ("n1-highcpu-16", 16, 14.4),
        ("e2-highmem-4", 4, 32),
        ("g2-standard-12", 12, 48),
        ("a2-highgpu-1g", 12, 85),
        ("a2-megagpu-16g", 96, 1360),
        ("a3-highgpu-8g", 208, 1872),
    ],
)
def test_machines_have_cores_and_memory(machine_type: str, cores: int, gigabytes: float) -> None:
    machine = accelerators.machine(machine_type)
    assert (machine.cores, machine.memory_gb) == (cores, gigabytes)


# The rows of Vertex AI's table of machine types and numbers of GPUs.
@pytest.mark.parametrize(
    ("machine_type", "accelerator", "counts"),
    [
        ("n1-standard-4", T4, {1, 2, 4}),
        ("n1-standard-16", T4, {1, 2, 4}),
        ("n1-standard-32", T4, {2, 4}),
        ("n1-highmem-96", T4, {4}),
        ("n1-standard-8", "NVIDIA_TESLA_P4", {1, 2, 4}),
        ("n1-standard-32", "NVIDIA_TESLA_P100", {2, 4}),
        ("n1-standard-64", "NVIDIA_TESLA_P100", set()),
        ("n1-highcpu-64", "NVIDIA_TESLA_P100", {4}),
        ("n1-standard-8", "NVIDIA_TESLA_V100", {1, 2, 4, 8}),
        ("n1-standard-16", "NVIDIA_TESLA_V100", {2, 4, 8}),
        ("n1-highmem-32", "NVIDIA_TESLA_V100", {4, 8}),
        ("n1-standard-96", "NVIDIA_TESLA_V100", {8}),
        ("n1-standard-8", "NVIDIA_L4", set()),
        ("e2-standard-8", T4, set()),
        ("g2-standard-4", T4, set()),
        ("g2-standard-24", "NVIDIA_L4", {2}),
        ("g2-standard-32", "NVIDIA_L4", {1}),
        ("g2-standard-96", "NVIDIA_L4", {8}),
        ("a2-highgpu-4g", "NVIDIA_TESLA_A100", {4}),
        ("a2-megagpu-16g", "NVIDIA_TESLA_A100", {16}),
        ("a2-highgpu-1g", "NVIDIA_A100_80GB", set()),
        ("a2-ultragpu-8g", "NVIDIA_A100_80GB", {8}),
        ("a3-highgpu-8g", "NVIDIA_H100_80GB", {8}),
    ],
)
def test_a_machine_carries_these_numbers(
    machine_type: str, accelerator: str, counts: set[int]
) -> None:
    for count in range(1, 17):
        if count in counts:
            accelerators.check_vertex(accelerator, count, machine_type)
        else:
            with pytest.raises(UserError):
                accelerators.check_vertex(accelerator, count, machine_type)


@pytest.mark.parametrize(
    ("accelerator", "count", "machine_type", "parts"),
    [
        ("NVIDIA_TESLA_T5", 1, "n1-standard-8", ["training.accelerator=NVIDIA_TESLA_T5", T4]),
        (None, 1, "n1-standard-5", ["machine_type=n1-standard-5", "n1-standard-4, n1-standard-8"]),
        (None, 1, "x9-big-1", ["machine_type=x9-big-1", "n1-standard-N", "a2-highgpu-Ng"]),
        (None, 1, "a2-highgpu-2g", ["has 2 NVIDIA_TESLA_A100", "training.accelerator_count=2"]),
        (T4, 3, "n1-standard-8", ["training.accelerator_count=3", "1, 2 or 4 NVIDIA_TESLA_T4"]),
        ("NVIDIA_L4", 1, "n1-standard-8", ["no NVIDIA_L4", " g2-standard-4, "]),
        ("NVIDIA_L4", 4, "n1-standard-8", ["no NVIDIA_L4", " g2-standard-48"]),
        ("NVIDIA_L4", 3, "n1-standard-8", ["no NVIDIA_L4", "g2-standard-96"]),
        (T4, 4, "e2-standard-4", ["no NVIDIA_TESLA_T4", "n1-highcpu-96"]),
    ],
)
def test_what_vertex_lacks_is_told_in_one_line(
    accelerator: str | None, count: int, machine_type: str, parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        accelerators.check_vertex(accelerator, count, machine_type)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_machines_without_gpus_are_machines() -> None:
    accelerators.check_vertex(None, 1, "e2-standard-4")


def test_a_number_of_gpus_needs_a_type() -> None:
    accelerators.check_count(None, 1)
    accelerators.check_count(T4, 2)
    with pytest.raises(UserError, match=r"training\.accelerator_count=2"):
        accelerators.check_count(None, 2)


def test_nodes_of_gke_are_labelled_by_type() -> None:
    accelerators.check_gke("NVIDIA_L4")
    assert accelerators.gke_labels("NVIDIA_L4") == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    with pytest.raises(UserError, match=r"training\.accelerator=NVIDIA_RTX_4090"):
        accelerators.check_gke("NVIDIA_RTX_4090")


def documented_rows() -> Iterator[str]:
    """The rows of the table in docs/vertex.md, as the data file has them."""
    tables = accelerators.tables()
    for name, gpu in tables.attached.items():
        for count, most in gpu.largest.items():
            limit = f"up to {most.cores} cores and {most.memory_gb:g} GB"
            yield f"| `{name}` | {count} | `{gpu.series}-*` {limit} |"
    for name, built_in in tables.built_in.items():
        for count in sorted({machine.gpus for machine in built_in.machines.values()}):
            found = [kind for kind, machine in built_in.machines.items() if machine.gpus == count]
            yield f"| `{name}` | {count} | {', '.join(f'`{kind}`' for kind in found)} |"


def test_the_documentation_has_the_same_gpus_and_machines() -> None:
    text = (Path(__file__).parents[3] / "docs" / "vertex.md").read_text("utf-8")
    shown = [line for line in text.splitlines() if re.match(r"\| `NVIDIA_\w+` \| \d", line)]
    assert shown == list(documented_rows())
    (families,) = re.findall(r"^Without GPUs: (.*?)\.$", text, re.MULTILINE | re.DOTALL)
    assert re.findall(r"`([\w-]+)-\*`", families) == list(accelerators.tables().families)
