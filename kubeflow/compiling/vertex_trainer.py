"""A Trainer that has several machines of Vertex AI train."""

from __future__ import annotations

from typing import Any

from tfx.components.trainer.component import Trainer
from tfx.extensions.google_cloud_ai_platform import constants
from tfx.extensions.google_cloud_ai_platform.trainer import component, executor

from kubeflow.compiling.compile_options import CompileOptions
from pipeline.config.tree import PipelineConfig


def vertex_trainer(
    config: PipelineConfig,
    options: CompileOptions,
    *,
    custom_config: dict[str, Any],
    **arguments: Any,
) -> Trainer:
    """Returns a Trainer whose step starts a CustomJob, a chief and workers, and waits for it.

    Args:
        config: Configuration of the pipeline, with `vertex.project` and `vertex.region`.
        options: Options with the name of the pipeline and the image of the machines.
        custom_config: Settings of the training.
        arguments: Further arguments of TFX's Trainer.
    """
    job = {
        "project": config.vertex.project,
        "display_name": f"{options.name}-trainer",
        "job_spec": _job_spec(config, options.image),
    }
    return component.Trainer(
        custom_config={
            **custom_config,
            constants.ENABLE_VERTEX_KEY: True,
            constants.VERTEX_REGION_KEY: config.vertex.region,
            executor.TRAINING_ARGS_KEY: job,
        },
        **arguments,
    )


def _job_spec(config: PipelineConfig, image: str) -> dict[str, Any]:
    """Returns a CustomJobSpec whose first pool is the chief alone. TFX adds the commands."""
    account = config.vertex.service_account
    return {
        "worker_pool_specs": [
            _pool(config, image, 1),
            _pool(config, image, config.training.workers - 1),
        ],
        # A worker that restarts alone would wait for the others for ever.
        "scheduling": {"restart_job_on_worker_restart": True},
        **({} if account is None else {"service_account": account}),
    }


def _pool(config: PipelineConfig, image: str, machines: int) -> dict[str, Any]:
    training = config.training
    machine: dict[str, Any] = {"machine_type": config.vertex.machine_type}
    if training.accelerator is not None:
        machine["accelerator_type"] = training.accelerator
        machine["accelerator_count"] = training.accelerator_count
    return {
        "machine_spec": machine,
        "replica_count": machines,
        "container_spec": {
            "image_uri": image,
            # TFX's command imports TensorFlow before anything of this project.
            "env": [{"name": "TF_USE_LEGACY_KERAS", "value": "1"}],
        },
    }
