"""The step that reports on a run, as it is compiled and as it is told."""

from __future__ import annotations

import json
from functools import cache

import pytest
from google.protobuf import json_format
from kfp import components
from kfp.dsl import HTML, Metrics
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils

from kubeflow import parameters
from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.compiling.compiler import CompiledPipeline
from kubeflow.steps import run_step
from kubeflow.targets import Target
from movierec.report import step
from movierec.report.step import report_step
from pipeline.config.tree import load_config
from tests.kubeflow.compiling.test_compiler import constants

TASK = "run-report"


@cache
def compiled(target: Target) -> CompiledPipeline:
    settings = load_config(overrides=["gate.max_rmse=0.97", "training.epochs=7"])
    options = CompileOptions(target, "registry.example/movierec:1.2", "gs://bucket/root")
    return compiler.compile_pipeline(settings, options, report_step)


@pytest.mark.parametrize("target", list(Target))
def test_its_outputs_have_the_types_that_the_platforms_show(target: Target) -> None:
    spec = json_format.ParseDict(compiled(target).spec, pipeline_spec_pb2.PipelineSpec())
    outputs = spec.components[f"comp-{TASK}"].output_definitions.artifacts
    found = {key: output.artifact_type for key, output in outputs.items()}
    assert {key: kind.schema_title for key, kind in found.items()} == {
        "report": HTML.schema_title,
        "metrics": Metrics.schema_title,
    }
    assert {kind.schema_version for kind in found.values()} == {HTML.schema_version}
    assert HTML.schema_version == Metrics.schema_version


def test_kubeflow_loads_it() -> None:
    loaded = components.load_component_from_text(compiled(Target.KFP).text())
    assert loaded.name == "movierec"


@pytest.mark.parametrize("target", list(Target))
def test_it_is_the_last_step_and_never_cached(target: Target) -> None:
    tasks = compiled(target).spec["root"]["dag"]["tasks"]
    assert "pusher" in tasks[TASK]["dependentTasks"]
    assert not any(TASK in task.get("dependentTasks", ()) for task in tasks.values())
    assert "cachingOptions" not in tasks[TASK]


@pytest.mark.parametrize("target", list(Target))
def test_its_configuration_has_the_parameters_of_the_run(target: Target) -> None:
    given = {
        **constants(compiled(target), TASK),
        parameters.step_input(parameters.EPOCHS): 5.0,
        parameters.step_input(parameters.MAX_RMSE): 0.9,
    }
    told = run_step.prepared({"inputs": {"parameterValues": given}})["inputs"]["parameterValues"]
    assert json.loads(told["config"])["training"]["epochs"] == 5
    assert json.loads(told["gate"])["max_rmse"] == 0.9


def test_tfx_takes_outputs_of_the_platforms_types() -> None:
    """TFX looks for a class of the type's name, which these have not."""
    kinds = {"report": HTML, "metrics": Metrics}
    outputs = {
        key: {
            "artifacts": [
                {
                    "uri": f"gs://b/{key}",
                    "type": {
                        "schemaTitle": kind.schema_title,
                        "schemaVersion": kind.schema_version,
                    },
                }
            ]
        }
        for key, kind in kinds.items()
    }
    given = {"outputs": {"artifacts": outputs, "outputFile": "gs://b/output.json"}}
    message = pipeline_spec_pb2.ExecutorInput.Outputs()
    json_format.ParseDict(run_step.without_system_types(given)["outputs"], message)
    parsed = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(message.artifacts)
    assert {key: artifact.uri for key, (artifact,) in parsed.items()} == {
        key: f"gs://b/{key}" for key in kinds
    }


def test_what_the_pusher_says_is_read_from_the_platforms_metadata() -> None:
    place = "gs://b/serving/movierec/7"
    artifact = {
        "name": "1",
        "uri": "gs://b/pushed",
        "type": {"instanceSchema": "title: tfx.PushedModel\ntype: object\n"},
        "metadata": {"pushed": 1, "pushed_destination": place},
    }
    message = pipeline_spec_pb2.ExecutorInput.Inputs()
    json_format.ParseDict({"artifacts": {"pushed_model": {"artifacts": [artifact]}}}, message)
    given = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(message.artifacts)
    (pushed,) = step.read_outputs(given)["Pusher"].values()
    assert pushed.uri == "gs://b/pushed"
    assert pushed.custom_properties["pushed_destination"].string_value == place
