"""Compiles the graph of the pipeline into a file that a platform runs."""

from __future__ import annotations

import json
from collections.abc import Container
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

from components.data_fingerprint import FINGERPRINT_KEY
from kubeflow import image_files, parameters
from kubeflow.compiling import pipeline_spec, run_report, storage_variables
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.compiling.platform_spec import platform_spec
from kubeflow.machines import training_resources
from kubeflow.parameters import Parameter, placeholder
from kubeflow.targets import COMMAND, RULES, Target
from kubeflow.training_job import manifest
from pipeline import atomic_file, graph
from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig

# Without it TensorFlow reads an object again each time, such as a vocabulary for every batch that
# tf.Transform looks up.
_GCS_CACHE: Final = {"GCS_READ_CACHE_MAX_SIZE_MB": "64"}


@dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline that a platform runs.

    Attributes:
        target: Platform that runs the pipeline.
        spec: PipelineSpec as JSON.
        parameters: Parameters of the pipeline with their defaults.
        pipeline_root: Folder for everything that the steps write.
        platforms: PlatformSpec as JSON; empty where Kubernetes needs nothing more.
    """

    target: Target
    spec: dict[str, Any]
    parameters: tuple[Parameter, ...]
    pipeline_root: str
    platforms: dict[str, Any]

    def text(self) -> str:
        """Returns the content of the file, which is the same for the same pipeline.

        Vertex AI takes a PipelineJob as JSON; Kubeflow Pipelines takes a PipelineSpec as YAML, and
        a PlatformSpec as a second document.
        """
        if self.target is Target.KFP:
            documents = [self.spec, self.platforms] if self.platforms else [self.spec]
            return yaml.safe_dump_all(documents, sort_keys=True, width=10**6)
        return json.dumps(self.job(), indent=2, sort_keys=True) + "\n"

    def job(self) -> dict[str, Any]:
        """Returns the PipelineJob for Vertex AI."""
        return {
            "displayName": self.spec["pipelineInfo"]["name"],
            "pipelineSpec": self.spec,
            "runtimeConfig": {
                "gcsOutputDirectory": self.pipeline_root,
                "parameters": {value.name: value.legacy_value for value in self.parameters},
            },
        }


def compile_pipeline(
    config: PipelineConfig,
    options: CompileOptions,
    make_report: graph.MakeReport | None = None,
) -> CompiledPipeline:
    """Compiles the pipeline.

    Args:
        config: Configuration of the pipeline.
        options: Platform, image and folders of the pipeline.
        make_report: Constructor of the step that reports on the run; None leaves it out.

    Raises:
        UserError: The platform does not take the image, the name or a folder, or cannot do what
            the configuration asks for.
    """
    target, legacy = options.target, options.target is Target.VERTEX
    inputs, root = options.parameters(config), options.root
    pipeline = _pipeline(config, options, {parameter.name for parameter in inputs}, make_report)
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
            default_image=options.image,
            default_commands=list(COMMAND),
            use_pipeline_spec_2_1=not legacy,
        )
    )
    spec = runner.run(pipeline, write_out=False)["pipelineSpec"]
    pipeline_spec.remove_drivers(spec)
    reports = [] if make_report is None else [graph.RUN_REPORT]
    pipeline_spec.disable_cache(spec, [*graph.lookups(config), *reports])
    for node_id in reports:
        run_report.declare_system_types(spec["components"][node_id])
    pipeline_spec.pass_parameter(
        spec, graph.DATA_FINGERPRINT, graph.EXAMPLE_GEN, FINGERPRINT_KEY, legacy
    )
    pipeline_spec.add_parameters(spec, inputs, legacy)
    pipeline_spec.add_step_arguments(spec, target)
    training = _training_steps(config)
    pipeline_spec.set_resources(spec, training, training_resources.resources(config, target))
    if manifest.is_wanted(config, target):
        job = manifest.template(config, options.image, options.name)
        variables = {manifest.VARIABLE: json.dumps(job, separators=(",", ":"))}
        pipeline_spec.set_environment(spec, graph.TRAINER, variables)
    if target is Target.KFP and config.kfp.storage_endpoint is not None:
        variables = storage_variables.environment(config.kfp.storage_endpoint)
        for node_id in storage_variables.steps(config):
            pipeline_spec.set_environment(spec, node_id, variables)
    if target is Target.VERTEX:
        for node_id in spec["components"]:
            pipeline_spec.set_environment(spec, node_id, _GCS_CACHE)
    pipeline_spec.rename_for_kubernetes(spec)
    spec["schemaVersion"] = RULES[target].schema_version
    spec["defaultPipelineRoot"] = root
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    platforms = platform_spec(config, training) if target is Target.KFP else {}
    return CompiledPipeline(target, spec, inputs, root, platforms)


def write(text: str, output: Path) -> Path:
    """Writes a compiled pipeline, whole or not at all, and returns the path of its file.

    Raises:
        UserError: The folder does not exist or cannot be written to.
    """
    try:
        atomic_file.write_text(output, text)
    except OSError as error:
        raise UserError(f"-o {output}: {error.strerror}") from error
    return output


def _training_steps(config: PipelineConfig) -> list[str]:
    """Returns the node ids of the steps that train in their own container."""
    tuner = [graph.TUNER] if config.tuning.enabled else []
    trainer = [graph.TRAINER] if config.training.workers == 1 else []
    return tuner + trainer


def _make_trainer(config: PipelineConfig, options: CompileOptions) -> graph.MakeTrainer:
    """Returns the constructor of the Trainer."""
    if config.training.workers > 1 and options.target is Target.VERTEX:
        # Imports clients of Google Cloud, which nothing else needs.
        from kubeflow.compiling.vertex_trainer import vertex_trainer  # noqa: PLC0415

        return partial(vertex_trainer, config, options)
    return Trainer


def _pipeline(
    config: PipelineConfig,
    options: CompileOptions,
    declared: Container[str],
    make_report: graph.MakeReport | None,
) -> tfx_pipeline.Pipeline:
    """Returns the graph, with placeholders in the place of the locations that are parameters."""
    locations = graph.Locations(
        data=placeholder(parameters.DATA),
        artifacts=options.root,
        checkpoints=f"{placeholder(parameters.PIPELINE_ROOT)}/checkpoints",
        serving=placeholder(parameters.PUSH),
        schema=image_files.SCHEMA,
        golden_set=placeholder(parameters.GOLDEN_SET)
        if parameters.GOLDEN_SET in declared
        else None,
    )
    pipeline = graph.create_pipeline(
        config,
        locations,
        in_cluster=True,
        make_trainer=_make_trainer(config, options),
        image=options.image,
        accepted_drift=placeholder(parameters.ACCEPT_DRIFT),
        make_report=make_report,
    )
    pipeline.pipeline_info.pipeline_name = options.name
    return pipeline
