"""Compiles the pipeline for a platform: the same graph, as a file that the platform runs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.components.trainer.component import Trainer
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

from components.data_fingerprint.executor import FINGERPRINT_KEY
from kubeflow import installed, parameters, specification, storage_access, training_machines
from kubeflow.order import Order
from kubeflow.parameters import Parameter, marked_number, placeholder
from kubeflow.platform_spec import platform_spec
from kubeflow.targets import COMMAND, RULES, Target
from kubeflow.training_job import manifest
from pipeline import graph
from pipeline.config import PipelineConfig
from pipeline.errors import UserError


# Without it TensorFlow reads an object anew each time, such as a vocabulary for every batch that
# tf.Transform looks up.
_GCS_CACHE: Final = {"GCS_READ_CACHE_MAX_SIZE_MB": "64"}


@dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline that a platform runs.

    Attributes:
        target: the platform.
        spec: the PipelineSpec as JSON.
        parameters: the pipeline's inputs with their values.
        pipeline_root: the folder for what the steps write.
        platforms: the PlatformSpec as JSON; nothing if there is nothing to say.
    """

    target: Target
    spec: dict[str, Any]
    parameters: tuple[Parameter, ...]
    pipeline_root: str
    platforms: dict[str, Any]

    def text(self) -> str:
        """What goes into the file: the same for the same pipeline.

        A PipelineJob as JSON for Vertex AI; for Kubeflow Pipelines a PipelineSpec as YAML, and
        the PlatformSpec as a second document.
        """
        if self.target is Target.KFP:
            documents = [self.spec, self.platforms] if self.platforms else [self.spec]
            return yaml.safe_dump_all(documents, sort_keys=True, width=10**6)
        return json.dumps(self.job(), indent=2, sort_keys=True) + "\n"

    def job(self) -> dict[str, Any]:
        """The PipelineJob of Vertex AI."""
        return {
            "displayName": self.spec["pipelineInfo"]["name"],
            "pipelineSpec": self.spec,
            "runtimeConfig": {
                "gcsOutputDirectory": self.pipeline_root,
                "parameters": {value.name: value.legacy_value for value in self.parameters},
            },
        }


def compile_pipeline(config: PipelineConfig, order: Order) -> CompiledPipeline:
    """Compiles the pipeline.

    Args:
        config: what the steps do.
        order: for which platform, and where its files are.

    Raises:
        UserError: the platform does not take the image, the name or a location, or cannot train
            as the configuration asks.
    """
    target, legacy = order.target, order.target is Target.VERTEX
    inputs, root = order.parameters(config), order.root
    pipeline = _pipeline(config, order)
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
            default_image=order.image,
            default_commands=list(COMMAND),
            use_pipeline_spec_2_1=not legacy,
        )
    )
    spec = runner.run(pipeline, write_out=False)["pipelineSpec"]
    specification.without_drivers(spec)
    specification.always_run(spec, [graph.DATA_FINGERPRINT, graph.BASELINE_MODEL])
    specification.pass_parameter(
        spec, graph.DATA_FINGERPRINT, graph.EXAMPLE_GEN, FINGERPRINT_KEY, legacy
    )
    specification.with_parameters(spec, inputs, legacy)
    specification.with_step_arguments(spec, target)
    training = _training_steps(config)
    specification.with_resources(spec, training, training_machines.resources(config, target))
    if manifest.is_wanted(config, target):
        job = manifest.template(config, order.image, order.name)
        variables = {manifest.VARIABLE: json.dumps(job, separators=(",", ":"))}
        specification.with_environment(spec, graph.TRAINER, variables)
    if target is Target.KFP and config.kfp.storage_endpoint is not None:
        variables = storage_access.environment(config.kfp.storage_endpoint)
        for node_id in storage_access.STEPS:
            specification.with_environment(spec, node_id, variables)
    if target is Target.VERTEX:
        for node_id in spec["components"]:
            specification.with_environment(spec, node_id, _GCS_CACHE)
    specification.with_valid_names(spec)
    spec["schemaVersion"] = RULES[target].schema_version
    spec["defaultPipelineRoot"] = root
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    platforms = platform_spec(config, training) if target is Target.KFP else {}
    return CompiledPipeline(target, spec, inputs, root, platforms)


def write(text: str, output: Path) -> Path:
    """Writes a compiled pipeline, whole or not at all.

    Raises:
        UserError: the folder is not there, or cannot be written to.
    """
    # A short name: the file's own may be as long as a name can be.
    aside = output.with_name(f".{os.getpid()}.incoming")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(output)
    except OSError as error:
        # Where it could not be made there is nothing to remove.
        with suppress(OSError):
            aside.unlink()
        raise UserError(f"-o {output}: {error.strerror}") from error
    return output


def _training_steps(config: PipelineConfig) -> list[str]:
    """The steps that train on their own machine."""
    tuner = [graph.TUNER] if config.tuning.enabled else []
    trainer = [graph.TRAINER] if config.training.workers == 1 else []
    return tuner + trainer


def _make_trainer(config: PipelineConfig, order: Order) -> graph.MakeTrainer:
    """What makes the Trainer; the clients of other machines are imported for those alone."""
    if config.training.workers > 1 and order.target is Target.VERTEX:
        from kubeflow import vertex_training  # noqa: PLC0415

        return partial(vertex_training.trainer, config, order)
    return Trainer


def _pipeline(config: PipelineConfig, order: Order) -> tfx_pipeline.Pipeline:
    """The graph, with something to find again wherever a parameter goes."""
    marked = config.model_copy(
        update={
            "training": config.training.model_copy(
                update={"epochs": marked_number(parameters.EPOCHS)}
            ),
            "gate": config.gate.model_copy(update={"max_rmse": marked_number(parameters.MAX_RMSE)}),
        }
    )
    locations = graph.Locations(
        data=placeholder(parameters.DATA),
        artifacts=order.root,
        checkpoints=f"{placeholder(parameters.PIPELINE_ROOT)}/checkpoints",
        serving=placeholder(parameters.PUSH),
        schema=installed.SCHEMA,
    )
    pipeline = graph.create_pipeline(
        marked,
        locations,
        in_cluster=True,
        make_trainer=_make_trainer(config, order),
        image=order.image,
    )
    pipeline.pipeline_info.pipeline_name = order.name
    return pipeline
