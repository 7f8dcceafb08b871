"""What each platform has, held against what Google publishes of its GPUs and machines."""

import pytest
from google.cloud.aiplatform_v1.types import AcceleratorType

from kubeflow.compiling import accelerators
from kubeflow.compiling.accelerators import Machine
from pipeline.config.errors import UserError

T4 = "NVIDIA_TESLA_T4"


def test_the_types_are_those_of_the_api() -> None:
    published = {kind.name for kind in AcceleratorType if kind.name.startswith("NVIDIA_")}
    # K80 has reached its end of support; GB200 has Arm cores, for which there is no image.
    assert set(accelerators.VERTEX) == published - {"NVIDIA_TESLA_K80", "NVIDIA_GB200"}
    assert set(accelerators.GKE) == set(accelerators.VERTEX)


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
    assert accelerators.machine(machine_type) == Machine(cores, gigabytes)


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
        (None, 1, "a2-highgpu-2g", ["carries 2 NVIDIA_TESLA_A100", "accelerator_count=2 beside"]),
        (T4, 3, "n1-standard-8", ["accelerator_count=3", "n1-standard-8 carries 1, 2 or 4"]),
        ("NVIDIA_L4", 1, "n1-standard-8", ["carries no NVIDIA_L4; expected g2-standard-4, "]),
        ("NVIDIA_L4", 4, "n1-standard-8", ["carries no NVIDIA_L4; expected g2-standard-48"]),
        ("NVIDIA_L4", 3, "n1-standard-8", ["carries no NVIDIA_L4", "g2-standard-96"]),
        (T4, 4, "e2-standard-4", ["carries no NVIDIA_TESLA_T4", "n1-highcpu-96"]),
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


def test_gpus_have_a_type() -> None:
    accelerators.check_count(None, 1)
    accelerators.check_count(T4, 2)
    with pytest.raises(UserError, match=r"accelerator_count=2: of no type; .*accelerator "):
        accelerators.check_count(None, 2)


def test_google_labels_its_nodes_by_type() -> None:
    accelerators.check_gke("NVIDIA_L4")
    with pytest.raises(UserError, match=r"accelerator=NVIDIA_RTX_4090: kfp does not know it"):
        accelerators.check_gke("NVIDIA_RTX_4090")
