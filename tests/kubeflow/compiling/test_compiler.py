"""What is compiled, held against the published schemas and against what each platform runs."""

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from apache_beam.options import pipeline_options
from apache_beam.transforms import environments
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2
from tensorflow_model_analysis.proto import config_pb2
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent

from kubeflow import parameters
from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.compiling.compiler import CompiledPipeline
from kubeflow.targets import Target
from pipeline import graph
from pipeline.config import beam as beam_config
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config
from pipeline.gate import evaluation_config

IMAGE = "registry.example/movierec:1.2"
ROOT = "gs://bucket/root"
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
TARGETS = list(Target)


def compiled(target: Target, *overrides: str, **options: Any) -> CompiledPipeline:
    settings = load_config(overrides=overrides)
    defaults = {"target": target, "image": IMAGE, "pipeline_root": ROOT}
    return compiler.compile_pipeline(settings, CompileOptions(**defaults | options))


@cache
def usual(target: Target) -> CompiledPipeline:
    return compiled(target, "training.epochs=7", "gate.max_rmse=0.97")


def tasks(pipeline: CompiledPipeline) -> dict[str, Any]:
    return pipeline.spec["root"]["dag"]["tasks"]


def constants(pipeline: CompiledPipeline, task: str) -> dict[str, Any]:
    """A task's constant inputs, in either schema."""
    found = {}
    for name, source in tasks(pipeline)[task]["inputs"].get("parameters", {}).items():
        value = source.get("runtimeValue", {})
        if "constant" in value:
            found[name] = value["constant"]
        elif "constantValue" in value:
            (found[name],) = value["constantValue"].values()
    return found


def words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from words(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from words(entry)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("target", TARGETS)
def test_it_is_of_the_published_schema(target: Target) -> None:
    spec = json_format.ParseDict(usual(target).spec, pipeline_spec_pb2.PipelineSpec())
    assert spec.schema_version == {Target.VERTEX: "2.0.0", Target.KFP: "2.1.0"}[target]
    assert spec.pipeline_info.name == "movierec"
    assert spec.default_pipeline_root == ROOT
    deployment = json_format.ParseDict(
        usual(target).spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    assert {e.container.image for e in deployment.executors.values()} == {IMAGE}
    for task in spec.root.dag.tasks.values():
        component = spec.components[task.component_ref.name]
        assert component.executor_label in deployment.executors
        assert set(task.inputs.artifacts) == set(component.input_definitions.artifacts)
        assert set(task.inputs.parameters) == set(component.input_definitions.parameters)
        assert set(task.dependent_tasks) <= set(spec.root.dag.tasks)
        for source in task.inputs.artifacts.values():
            produced = source.task_output_artifact
            producer = spec.root.dag.tasks[produced.producer_task]
            outputs = spec.components[producer.component_ref.name].output_definitions
            assert produced.output_artifact_key in outputs.artifacts


def test_kubeflow_loads_it() -> None:
    loaded = components.load_component_from_text(usual(Target.KFP).text())
    assert loaded.name == "movierec"
    assert {name: entry.default for name, entry in loaded.component_spec.inputs.items()} == {
        "pipeline_root": ROOT,
        "data": "installed://ml-100k",
        "push": f"{ROOT}/serving/movierec",
        "epochs": 7,
        "max_rmse": 0.97,
        "accept_drift": "",
    }


def test_a_job_of_vertex_has_its_parameters() -> None:
    job = json.loads(usual(Target.VERTEX).text())
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    assert job["runtimeConfig"] == {
        "gcsOutputDirectory": ROOT,
        "parameters": {
            "pipeline_root": {"stringValue": ROOT},
            "data": {"stringValue": "installed://ml-100k"},
            "push": {"stringValue": f"{ROOT}/serving/movierec"},
            "epochs": {"intValue": "7"},
            "max_rmse": {"doubleValue": 0.97},
            "accept_drift": {"stringValue": ""},
        },
    }
    declared = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    assert declared == {
        "pipeline_root": {"type": "STRING"},
        "data": {"type": "STRING"},
        "push": {"type": "STRING"},
        "epochs": {"type": "INT"},
        "max_rmse": {"type": "DOUBLE"},
        "accept_drift": {"type": "STRING"},
    }


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_needs_a_driver_or_a_resolver(target: Target) -> None:
    spec = usual(target).spec
    for executor in spec["deploymentSpec"]["executors"].values():
        assert set(executor) == {"container"}
        assert set(executor["container"]) <= {"image", "command", "args", "env", "resources"}
        assert executor["container"]["command"] == ["python", "-m", "kubeflow.steps.run_step"]
        assert "{{$}}" in executor["container"]["args"]
    assert not {"lifecycle", "preCacheCheck", "resolver", "importer"} & set(words(spec))


def test_steps_of_vertex_ai_keep_what_tensorflow_reads_of_a_bucket() -> None:
    for target, size in ((Target.VERTEX, {"GCS_READ_CACHE_MAX_SIZE_MB"}), (Target.KFP, set())):
        for executor in usual(target).spec["deploymentSpec"]["executors"].values():
            names = {entry["name"] for entry in executor["container"].get("env", ())}
            assert names == size


@pytest.mark.parametrize("target", TARGETS)
def test_what_changes_by_itself_is_looked_up_in_every_run(target: Target) -> None:
    found = tasks(usual(target))
    uncached = {name for name, task in found.items() if "cachingOptions" not in task}
    assert uncached == {"data-fingerprint", "drift-validator", "baseline-model"}
    assert all(
        "cachingOptions" not in t for t in tasks(compiled(target, "runner.cache=false")).values()
    )
    fingerprint = found["movie-lens-example-gen"]["inputs"]["parameters"]["input_fingerprint"]
    assert fingerprint["taskOutputParameter"] == {
        "producerTask": "data-fingerprint",
        "outputParameterKey": "input_fingerprint",
    }
    assert found["movie-lens-example-gen"]["dependentTasks"] == ["data-fingerprint"]
    # As TFX declares a value that it passes on: the answer has the form of schema 2.1 in both.
    components = usual(target).spec["components"]
    made = components["comp-data-fingerprint"]["outputDefinitions"]["parameters"]
    assert made == {"input_fingerprint": {"parameterType": "STRING"}}
    taken = components["comp-movie-lens-example-gen"]["inputDefinitions"]["parameters"]
    form = {Target.VERTEX: "type", Target.KFP: "parameterType"}[target]
    assert taken["input_fingerprint"] == {form: "STRING"}
    baseline = found["evaluator"]["inputs"]["artifacts"]["baseline_model"]["taskOutputArtifact"]
    assert baseline == {"producerTask": "baseline-model", "outputArtifactKey": "baseline_model"}


def test_each_step_of_kubeflow_is_told_the_types_of_its_inputs() -> None:
    """Kubeflow's driver does not know them: TFX gets them from this argument."""
    spec = usual(Target.KFP).spec
    for component in spec["components"].values():
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        place = container["args"].index("--json_serialized_inputs_spec_args") + 1
        told = json_format.Parse(container["args"][place], pipeline_spec_pb2.ComponentInputsSpec())
        artifacts = component.get("inputDefinitions", {}).get("artifacts", {})
        assert {
            name: json_format.MessageToDict(declared.artifact_type)
            for name, declared in told.artifacts.items()
        } == {name: declared["artifactType"] for name, declared in artifacts.items()}
        assert all(declared.artifact_type.instance_schema for declared in told.artifacts.values())


@pytest.mark.parametrize("target", TARGETS)
def test_names_are_those_that_kubernetes_takes(target: Target) -> None:
    spec = usual(target).spec
    for name, task in tasks(usual(target)).items():
        assert DNS_LABEL.fullmatch(name)
        # Kubeflow finds the producer of an artifact by this one.
        assert task["taskInfo"]["name"] == name
    for name in [*spec["components"], *spec["deploymentSpec"]["executors"]]:
        assert DNS_LABEL.fullmatch(name)


@pytest.mark.parametrize("target", TARGETS)
def test_parameters_reach_the_constants_that_depend_on_them(target: Target) -> None:
    training = json.loads(
        constants(usual(target), "trainer")["custom_config"].replace(
            "{{$.inputs.parameters['pipelinechannel--epochs']}}", "7"
        )
    )
    assert training["training"]["epochs"] == 7
    assert training["checkpoints"] == (
        "{{$.inputs.parameters['pipelinechannel--pipeline_root']}}/checkpoints"
    )
    assert json.loads(training["comparison_group"])[0] == "ml-100k"
    # A local cache follows the names in a job: the model's class is not imported anywhere.
    assert training["code"] == [
        "models.training.trainer",
        "models.zoo.biased_mf.BiasedMatrixFactorization",
    ]
    gate = constants(usual(target), "evaluator")["eval_config"]
    assert "{{$.inputs.parameters['pipelinechannel--max_rmse']}}" in gate
    assert "0.97" not in gate
    push = json.loads(constants(usual(target), "pusher")["push_destination"])
    assert push["filesystem"]["base_directory"] == (
        "{{$.inputs.parameters['pipelinechannel--push']}}"
    )
    for name, task in tasks(usual(target)).items():
        used = {
            entry
            for constant in constants(usual(target), name).values()
            if isinstance(constant, str)
            for entry in parameters.used_inputs(constant)
        }
        sources = task.get("inputs", {}).get("parameters", {})
        assert used == {entry for entry in sources if parameters.is_step_input(entry)}
        for entry in used:
            assert sources[entry] == {
                "componentInputParameter": entry.removeprefix("pipelinechannel--")
            }


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", ["biased_mf", "multitask"])
def test_the_gate_of_a_run_is_that_of_its_parameter(target: Target, model: str) -> None:
    pipeline = compiled(target, f"model.name={model}", "gate.max_rmse=0.97")
    text = constants(pipeline, "evaluator")["eval_config"]
    filled = parameters.filled_in(text, {parameters.step_input("max_rmse"): "0.81"})
    config = load_config(overrides=[f"model.name={model}", "gate.max_rmse=0.81"])
    expected = evaluation_config(config.gate, config.model)
    assert json_format.Parse(filled, config_pb2.EvalConfig()) == expected


@pytest.mark.parametrize("target", TARGETS)
def test_the_tuner_takes_the_epochs_of_a_run(target: Target) -> None:
    tuner = constants(compiled(target, "tuning.enabled=true"), "tuner")["custom_config"]
    filled = parameters.filled_in(
        tuner, {parameters.step_input("epochs"): "9", parameters.step_input("pipeline_root"): ROOT}
    )
    assert json.loads(filled)["training"]["epochs"] == 9


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_without_ratings_has_no_bound_on_its_rmse(target: Target) -> None:
    evaluator = tasks(compiled(target, "model.name=two_tower"))["evaluator"]
    assert parameters.step_input("max_rmse") not in evaluator["inputs"]["parameters"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_input_makes_the_same_bytes(target: Target) -> None:
    again = compiled(target, "training.epochs=7", "gate.max_rmse=0.97")
    assert again.text() == usual(target).text()
    # Nothing of the machine it was compiled on.
    assert str(Path(graph.__file__).parents[2]) not in again.text()


def test_yaml_is_one_document_of_the_specification() -> None:
    (document,) = yaml.safe_load_all(usual(Target.KFP).text())
    assert document == usual(Target.KFP).spec


@pytest.mark.parametrize(
    "overrides", [(), ("tuning.enabled=true", "training.accelerator=NVIDIA_TESLA_T4")]
)
def test_yaml_says_everything_where_it_belongs(overrides: tuple[str, ...]) -> None:
    """Not every reader of YAML knows anchors, and an edit of one place would change another."""
    text = compiled(Target.KFP, *overrides).text()
    assert not [event for event in yaml.parse(text) if getattr(event, "anchor", None)]


@pytest.mark.parametrize("target", TARGETS)
def test_options_and_configuration(target: Target) -> None:
    other = compiled(
        target, "tuning.enabled=true", data="gs://data/ml", push="gs://push/", name="weekly"
    )
    values = {parameter.name: parameter.value for parameter in other.parameters}
    assert (values["data"], values["push"]) == ("gs://data/ml", "gs://push")
    assert other.spec["pipelineInfo"]["name"] == "weekly"
    assert "tuner" in tasks(other)
    assert "tuner" not in tasks(usual(target))


@pytest.mark.parametrize("target", TARGETS)
def test_a_golden_set_is_a_parameter_of_what_reads_it(target: Target) -> None:
    pipeline = compiled(target, golden_set="gs://trusted/ratings/")
    values = {parameter.name: parameter.value for parameter in pipeline.parameters}
    assert values["golden_set"] == "gs://trusted/ratings"
    stands_for_it = parameters.placeholder("golden_set")
    ingest = json.loads(constants(pipeline, "movie-lens-example-gen")["custom_config"])["ingest"]
    assert ingest["golden_set"] == stands_for_it
    assert constants(pipeline, "data-fingerprint")["golden_set"] == stands_for_it
    limits = json.loads(constants(pipeline, "gate")["limits"])
    assert limits["max_golden_regression"] == 0.01
    assert "golden_set" not in {parameter.name for parameter in usual(target).parameters}
    with pytest.raises(UserError, match=r"gate\.golden_set /trusted: "):
        compiled(target, "gate.golden_set=/trusted")


def test_data_of_this_machine_is_for_dry_runs(tmp_path: Path) -> None:
    own = ("data.dataset=csv", f"data.path={tmp_path}")
    dry = compiled(Target.KFP, *own, pipeline_root=str(tmp_path / "root"))
    assert {p.name: p.value for p in dry.parameters}["data"] == str(tmp_path)
    with pytest.raises(UserError, match=r"data\.path .*: "):
        compiled(Target.KFP, *own)
    with pytest.raises(UserError, match=r"--data: not given; data\.dataset=csv needs"):
        compiled(Target.KFP, "data.dataset=csv")


@pytest.mark.parametrize("target", Target)
def test_data_elsewhere_is_recognised_and_found_by_the_steps(target: Target) -> None:
    pattern = "gs://data/{YYYY}-{MM}-{DD}"
    job = compiled(target, "data.dataset=auto", "data.window=4", data=pattern)
    assert {p.name: p.value for p in job.parameters}["data"] == pattern
    values = constants(job, "data-fingerprint")
    assert values["edition"] == "auto"
    assert int(values["window"]) == 4
    with pytest.raises(UserError, match=r"data\.window=4: gs://data/ml has no spans"):
        compiled(target, "data.window=4", data="gs://data/ml")
    with pytest.raises(UserError, match="does not reach it"):
        compiled(target, data="gs://data/{WEEK}")


@pytest.mark.parametrize("target", TARGETS)
def test_a_warm_start_is_looked_up_in_every_run(target: Target) -> None:
    assert "warm-start-model" not in tasks(usual(target))
    found = tasks(compiled(target, "training.warm_start=true"))
    assert "cachingOptions" not in found["warm-start-model"]
    source = found["trainer"]["inputs"]["artifacts"]["base_model"]["taskOutputArtifact"]
    assert source == {"producerTask": "warm-start-model", "outputArtifactKey": "base_model"}
    examples = found["warm-start-model"]["inputs"]["artifacts"]["examples"]["taskOutputArtifact"]
    assert examples["producerTask"] == "movie-lens-example-gen"


def test_the_graph_of_this_machine_has_neither_lookup() -> None:
    locations = graph.Locations(data="/d", artifacts="/a", checkpoints="/c", serving="/s")
    local = graph.create_pipeline(load_config(), locations)
    names = {component.id: type(component).__name__ for component in local.components}
    assert graph.DATA_FINGERPRINT not in names
    assert names[graph.BASELINE_MODEL] == "Resolver"
    assert names[graph.EVALUATOR] == "Evaluator"
    cluster = graph.create_pipeline(load_config(), locations, in_cluster=True)
    assert set(names) == {c.id for c in cluster.components} - {graph.DATA_FINGERPRINT}
    of_beam = [c.id for c in local.components if isinstance(c, BaseBeamComponent)]
    assert sorted(of_beam) == sorted(beam_config.BEAM_STEPS)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    assert compiler.write("text", tmp_path / "job.yaml").read_text() == "text"
    assert [entry.name for entry in tmp_path.iterdir()] == ["job.yaml"]
    with pytest.raises(UserError, match=r"-o .*nowhere"):
        compiler.write("text", tmp_path / "nowhere" / "job.yaml")
    (tmp_path / "taken.yaml").mkdir()
    with pytest.raises(UserError, match=r"-o .*taken"):
        compiler.write("text", tmp_path / "taken.yaml")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["job.yaml", "taken.yaml"]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    fits = tmp_path / ("a" * (longest - 5) + ".yaml")
    assert compiler.write("text", fits).read_text() == "text"
    for impossible in (tmp_path / ("a" * longest + ".yaml"), fits / "job.yaml"):
        with pytest.raises(UserError, match=r"-o .*(File name too long|Not a directory)"):
            compiler.write("text", impossible)
    assert list(tmp_path.iterdir()) == [fits]


def arguments(pipeline: CompiledPipeline, task: str) -> list[str]:
    """What follows TFX's own arguments: those of Beam."""
    container = pipeline.spec["deploymentSpec"]["executors"][f"exec-{task}"]["container"]
    return [text for text in container["args"] if re.match(r"--\w+=|--no_\w+$", text)]


@pytest.mark.parametrize("target", TARGETS)
def test_steps_that_use_beam_have_its_options_and_run_its_workers_in_their_image(
    target: Target,
) -> None:
    overrides = (
        "beam.runner=flink",
        "beam.job_endpoint=flink:8099",
        'beam.arguments=["--parallelism=4"]',
        'beam.component_arguments={Evaluator=["--parallelism=2"]}',
    )
    flink = compiled(target, *overrides)
    steps = {"movie-lens-example-gen", "statistics-gen", "transform", "evaluator"}
    for name in tasks(flink):
        told = arguments(flink, name)
        if name not in steps:
            assert told == [], name
            assert arguments(usual(target), name) == [], name
            continue
        options = pipeline_options.PipelineOptions(told)
        assert options.view_as(pipeline_options.StandardOptions).runner == "FlinkRunner"
        portable = options.view_as(pipeline_options.PortableOptions)
        assert portable.job_endpoint == "flink:8099"
        environment = environments.Environment.from_options(portable)
        assert environment.container_image == IMAGE
        assert options.view_as(pipeline_options.WorkerOptions).sdk_container_image == IMAGE
        parallelism = options.view_as(pipeline_options.FlinkRunnerOptions).parallelism
        assert parallelism == (2 if name == "evaluator" else 4)
        own = pipeline_options.PipelineOptions(arguments(usual(target), name))
        assert own.view_as(pipeline_options.StandardOptions).runner == "FnApiRunner"


def test_workers_of_beam_must_reach_the_pipeline_root() -> None:
    flink = ("beam.runner=flink", "beam.job_endpoint=flink:8099")
    compiling = CompileOptions(target=Target.KFP, image=IMAGE, pipeline_root="s3://bucket/root")
    compiling.parameters(load_config())
    with pytest.raises(UserError, match=r"--pipeline-root s3://bucket/root: only steps"):
        compiling.parameters(load_config(overrides=flink))
