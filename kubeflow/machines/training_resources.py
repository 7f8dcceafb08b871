"""The machines, GPUs and nodes that training asks a platform for.

Nothing heavy is imported here.
"""

from __future__ import annotations

from typing import Any, Final

from kubeflow.machines import accelerators
from kubeflow.targets import Target
from pipeline.config.cluster import Toleration
from pipeline.config.errors import UserError
from pipeline.config.kubernetes import amount
from pipeline.config.tree import PipelineConfig

# Vertex AI takes no higher limits of a step. On larger machines, the GPUs identify the machine.
_LARGEST_STEP: Final = accelerators.Machine(cores=96, memory_gb=624)


def check(config: PipelineConfig, target: Target) -> None:
    """Checks that the platform can train as configured.

    Raises:
        UserError: The platform does not know the GPUs or the machine, or needs more settings.
    """
    training = config.training
    accelerators.check_count(training.accelerator, training.accelerator_count)
    if training.distribution == "parameter_server":
        raise UserError(
            "training.distribution=parameter_server: a compiled pipeline has no parameter "
            "servers; expected synchronous"
        )
    if target is Target.KFP:
        if training.accelerator is not None and config.kfp.node_selector is None:
            accelerators.check_gke(training.accelerator)
        return
    accelerators.check_vertex(
        training.accelerator, training.accelerator_count, config.vertex.machine_type
    )
    for key, given, expected in (
        ("vertex.project", config.vertex.project, "the id of the Google Cloud project"),
        ("vertex.region", config.vertex.region, "a region such as us-central1"),
    ):
        if training.workers > 1 and given is None:
            raise UserError(
                f"{key}: not given; training.workers={training.workers} needs {expected}"
            )


def resources(config: PipelineConfig, target: Target) -> dict[str, Any]:
    """Returns the ResourceSpec of a step that trains in its own container."""
    return _vertex_resources(config) if target is Target.VERTEX else _kfp_resources(config)


def node_selector(config: PipelineConfig) -> dict[str, str]:
    """Returns the labels of the Kubernetes nodes for training."""
    accelerator = config.training.accelerator
    if config.kfp.node_selector is not None:
        return config.kfp.node_selector
    return {} if accelerator is None else accelerators.gke_labels(accelerator)


def tolerations(config: PipelineConfig) -> tuple[Toleration, ...]:
    """Returns the taints of the nodes for training, as tolerations."""
    if config.kfp.tolerations is not None:
        return config.kfp.tolerations
    if config.training.accelerator is None:
        return ()
    return (Toleration(key=config.kfp.accelerator_resource, effect="NoSchedule"),)


def _vertex_resources(config: PipelineConfig) -> dict[str, Any]:
    """Returns limits for which Vertex AI takes the machine that comes closest: that machine's."""
    machine, largest = accelerators.machine(config.vertex.machine_type), _LARGEST_STEP
    limits: dict[str, Any] = {
        "cpuLimit": float(min(machine.cores, largest.cores)),
        "memoryLimit": float(min(machine.memory_gb, largest.memory_gb)),
    }
    if config.training.accelerator is not None:
        limits["accelerator"] = {
            "type": config.training.accelerator,
            "count": str(config.training.accelerator_count),
        }
    return limits


def _kfp_resources(config: PipelineConfig) -> dict[str, Any]:
    """Returns limits in fields that every version reads: 2.3 refuses their successors."""
    limits: dict[str, Any] = {}
    if config.kfp.cpu_limit is not None:
        limits["cpuLimit"] = float(amount(config.kfp.cpu_limit))
    if config.kfp.memory_limit is not None:
        limits["memoryLimit"] = float(amount(config.kfp.memory_limit) / 10**9)
    if config.training.accelerator is not None:
        limits["accelerator"] = {
            "type": config.kfp.accelerator_resource,
            "count": str(config.training.accelerator_count),
        }
    return limits
