"""The machines that a platform trains on. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Any, Final

from kubeflow.compiling import accelerators
from kubeflow.targets import Target
from pipeline.config.cluster import Toleration
from pipeline.config.errors import UserError
from pipeline.config.kubernetes import amount
from pipeline.config.tree import PipelineConfig

# Vertex AI takes no higher limits of a step; its GPUs say which of the larger machines is meant.
_MOST_OF_A_STEP: Final = accelerators.Machine(96, 624)


def check(config: PipelineConfig, target: Target) -> None:
    """Whether the platform can train as the configuration asks.

    Raises:
        UserError: it does not know the GPUs or the machine, or needs to be told more.
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
    for key, given, what in (
        ("vertex.project", config.vertex.project, "the id of the Google Cloud project"),
        ("vertex.region", config.vertex.region, "where they train, as us-central1"),
    ):
        if training.workers > 1 and given is None:
            raise UserError(f"{key}: not given; training.workers={training.workers} needs {what}")


def resources(config: PipelineConfig, target: Target) -> dict[str, Any]:
    """What a step that trains on its own machine asks for: the ResourceSpec of its container."""
    return _vertex_resources(config) if target is Target.VERTEX else _kfp_resources(config)


def node_selector(config: PipelineConfig) -> dict[str, str]:
    """The labels of the Kubernetes nodes that training is for."""
    accelerator = config.training.accelerator
    if config.kfp.node_selector is not None:
        return config.kfp.node_selector
    return {} if accelerator is None else {accelerators.GKE_LABEL: accelerators.GKE[accelerator]}


def tolerations(config: PipelineConfig) -> tuple[Toleration, ...]:
    """The taints of those nodes."""
    if config.kfp.tolerations is not None:
        return config.kfp.tolerations
    if config.training.accelerator is None:
        return ()
    return (Toleration(key=config.kfp.accelerator_resource, effect="NoSchedule"),)


def _vertex_resources(config: PipelineConfig) -> dict[str, Any]:
    """What leads Vertex AI to the machine: it takes the one that comes closest."""
    machine, most = accelerators.machine(config.vertex.machine_type), _MOST_OF_A_STEP
    asked: dict[str, Any] = {
        "cpuLimit": float(min(machine.cores, most.cores)),
        "memoryLimit": float(min(machine.gigabytes, most.gigabytes)),
    }
    if config.training.accelerator is not None:
        asked["accelerator"] = {
            "type": config.training.accelerator,
            "count": str(config.training.accelerator_count),
        }
    return asked


def _kfp_resources(config: PipelineConfig) -> dict[str, Any]:
    """The limits in fields that every version reads: 2.3 refuses the ones that replace them."""
    asked: dict[str, Any] = {}
    if config.kfp.cpu_limit is not None:
        asked["cpuLimit"] = float(amount(config.kfp.cpu_limit))
    if config.kfp.memory_limit is not None:
        asked["memoryLimit"] = float(amount(config.kfp.memory_limit) / 10**9)
    if config.training.accelerator is not None:
        asked["accelerator"] = {
            "type": config.kfp.accelerator_resource,
            "count": str(config.training.accelerator_count),
        }
    return asked
