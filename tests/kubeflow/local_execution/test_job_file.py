from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeflow.local_execution import job_file
from kubeflow.local_execution.job import (
    Constant,
    OutputParameter,
    PipelineInput,
    Retries,
    TaskOutput,
)
from kubeflow.local_execution.values import ParameterType
from pipeline.config.beam import EVALUATOR, BeamConfig
from pipeline.config.errors import UserError
from tests.kubeflow.compiled_jobs import KFP, ROOT, VERTEX, Job


def small(schema: str) -> Job:
    job = Job(schema, epochs=5, rate=0.5, data="gs://data/here")
    job.add("first", makes={"model": {"size": 3}}, returns={"count": int})
    return job.add(
        "second",
        constants={"text": "x", "whole": 7, "part": 2.5},
        parameters={"epochs": "epochs"},
        returned={"count": ("first", "count")},
        artifacts={"model": ("first", "model")},
        cachingOptions={"enableCache": True},
        retryPolicy={"maxRetryCount": 2, "backoffDuration": "1.5s", "backoffFactor": 3},
    )


@pytest.mark.parametrize("schema", [VERTEX, KFP])
def test_both_schemas_are_read(schema: str, tmp_path: Path) -> None:
    job = job_file.read(small(schema).write(tmp_path))
    assert (job.name, job.schema, job.pipeline_root) == ("small", schema, ROOT)
    assert job.parameters == {"epochs": 5, "rate": 0.5, "data": "gs://data/here"}
    assert isinstance(job.parameters["epochs"], int)
    second = job.tasks["second"]
    assert second.parameters == {
        "text": Constant("x"),
        "whole": Constant(7),
        "part": Constant(2.5),
        "epochs": PipelineInput("epochs"),
        "count": TaskOutput("first", "count"),
    }
    assert second.artifacts == {"model": TaskOutput("first", "model")}
    assert second.after == {"first"}
    assert second.cacheable
    assert not job.tasks["first"].cacheable
    assert second.retries == Retries(2, 1.5, 3.0)
    count = job.tasks["first"].output_parameters["count"]
    assert count == OutputParameter(ParameterType.INTEGER, legacy=schema == VERTEX)
    assert job.tasks["first"].retries == Retries()


def test_an_output_may_be_declared_as_in_the_later_schema(tmp_path: Path) -> None:
    job = small(VERTEX)
    job.components["comp-first"]["outputDefinitions"]["parameters"] = {
        "count": {"parameterType": "NUMBER_INTEGER"}
    }
    count = job_file.read(job.write(tmp_path)).tasks["first"].output_parameters["count"]
    assert count == OutputParameter(ParameterType.INTEGER, legacy=False)


def test_a_document_of_platforms_may_follow(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    documents = [small(KFP).document(), {"platforms": {"kubernetes": {}}}]
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    assert set(job_file.read(path).tasks) == {"first", "second"}


def test_waits_grow_up_to_the_longest() -> None:
    retries = Retries(count=4, wait=2.0, factor=3.0, longest_wait=10.0)
    assert [retries.seconds_before(n) for n in (1, 2, 3)] == [2.0, 6.0, 10.0]


def test_parameters_are_replaced_by_texts_of_their_type(tmp_path: Path) -> None:
    job = job_file.read(small(VERTEX).write(tmp_path))
    given = job_file.with_parameters(job, {"epochs": "9", "rate": "1", "data": "/here"})
    assert given == {"epochs": 9, "rate": 1.0, "data": "/here"}
    with pytest.raises(UserError, match="--parameter epochs=many: expected NUMBER_INTEGER"):
        job_file.with_parameters(job, {"epochs": "many"})
    for text in ("nan", "inf", "-Infinity", "1e999"):
        with pytest.raises(UserError, match=f"--parameter rate={text}: expected NUMBER_DOUBLE"):
            job_file.with_parameters(job, {"rate": text})
    with pytest.raises(UserError, match="no such parameter; it has data, epochs, rate"):
        job_file.with_parameters(job, {"epoch": "9"})


def test_a_parameter_without_a_value_is_asked_for(tmp_path: Path) -> None:
    document = small(KFP)
    path = tmp_path / "job.yaml"
    content = document.document()
    del content["root"]["inputDefinitions"]["parameters"]["epochs"]["defaultValue"]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    job = job_file.read(path)
    with pytest.raises(UserError, match="--parameter epochs=VALUE"):
        job_file.with_parameters(job, {})
    assert job_file.with_parameters(job, {"epochs": "1"})["epochs"] == 1


FLINK = {"runner": "flink", "environment_type": "LOOPBACK"}
PORTABLE = {"runner": "portable", "environment_type": "LOOPBACK"}
SPARK = {"runner": "spark", "environment_type": "LOOPBACK"}
DATAFLOW = {
    "runner": "dataflow",
    "project": "movies-1234",
    "region": "us-central1",
    "temp_location": "gs://bucket/tmp",
}
PROCESS = {"environment_type": "PROCESS", "environment_config": '{"command": "/opt/worker"}'}


def with_beam(arguments: list[str], folder: Path) -> Path:
    """A job whose task has Beam work so."""
    return Job(KFP).add("second", arguments=("{{$}}", *arguments)).write(folder)


@pytest.mark.parametrize(
    "beam",
    [
        {},
        {"workers": 2},
        {**PORTABLE, "job_endpoint": "localhost:8099"},
        {
            **PORTABLE,
            "job_endpoint": "127.0.0.1:8099",
            "arguments": ["--artifact_endpoint=[::1]:8098"],
        },
        {**PORTABLE, "job_endpoint": "localhost:8099", **PROCESS},
        {
            "runner": "portable",
            "job_endpoint": "localhost:8099",
            "environment_type": "EXTERNAL",
            "environment_config": "localhost:50000",
        },
        {**FLINK, "flink_master": "http://localhost:8081"},
        {**FLINK, "job_endpoint": "localhost:8099"},
        {**SPARK, "spark_master_url": "local[2]"},
        {**SPARK, "spark_master_url": "spark://127.0.0.1:7077"},
    ],
)
def test_beam_may_work_on_this_machine(beam: dict[str, Any], tmp_path: Path) -> None:
    arguments = BeamConfig(**beam).arguments_for(EVALUATOR, "registry.example/movierec:1")
    assert "second" in job_file.read_to_run_here(with_beam(arguments, tmp_path)).tasks


@pytest.mark.parametrize(
    ("beam", "told"),
    [
        (DATAFLOW, "(--runner=DataflowRunner)"),
        (
            {**PORTABLE, "job_endpoint": "jobs.example:8099"},
            "(--runner=PortableRunner, --job_endpoint=jobs.example:8099, ",
        ),
        ({**PORTABLE, "job_endpoint": "192.168.0.7:8099"}, "--job_endpoint=192.168.0.7:8099"),
        (
            {
                **PORTABLE,
                "job_endpoint": "localhost:8099",
                "arguments": ["--artifact_endpoint=files.example:1"],
            },
            "--artifact_endpoint=files.example:1",
        ),
        (
            {"runner": "portable", "job_endpoint": "localhost:8099"},
            "--environment_type=DOCKER, --environment_config=registry.example/movierec:1)",
        ),
        (
            {
                "runner": "flink",
                "job_endpoint": "localhost:8099",
                "environment_type": "EXTERNAL",
                "environment_config": "workers.example:50000",
            },
            "--environment_config=workers.example:50000)",
        ),
        ({**FLINK, "flink_master": "flink.example:8081"}, "--flink_master=flink.example:8081"),
        ({**SPARK, "spark_master_url": "yarn"}, "--spark_master_url=yarn"),
        (
            {**SPARK, "spark_master_url": "k8s://https://localhost:6443"},
            "--spark_master_url=k8s://https://localhost:6443",
        ),
    ],
)
def test_a_job_whose_beam_works_elsewhere_is_not_run_here(
    beam: dict[str, Any], told: str, tmp_path: Path
) -> None:
    arguments = BeamConfig(**beam).arguments_for(EVALUATOR, "registry.example/movierec:1")
    path = with_beam(arguments, tmp_path)
    with pytest.raises(UserError) as raised:
        job_file.read_to_run_here(path)
    said = str(raised.value)
    assert said.startswith(f"{path}: task second: Beam's work would not stay in processes of ")
    assert told in said
    assert "compile with beam.runner=direct or" in said
    assert "\n" not in said
    # To submit it is another matter.
    assert "second" in job_file.read(path).tasks


@pytest.mark.parametrize(
    "arguments",
    [
        ["--runner", "DataflowRunner"],
        ["--runner=FnApiRunner", "--runner=DataflowRunner"],
        ["--runner={{$.inputs.parameters['runner']}}"],
        ["--runner=SomeRunner"],
        ["--runner=FlinkRunner", "--environment_type=LOOPBACK"],
        ["--runner=FlinkRunner", "--job_endpoint=[::1", "--environment_type=LOOPBACK"],
        ["--runner=PortableRunner", "--job_endpoint=local", "--environment_type=LOOPBACK"],
        ["--runner=FlinkRunner", "--flink_master=local", "--environment_type=LOOPBACK"],
    ],
)
def test_what_others_may_have_compiled_is_not_run_here_either(
    arguments: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="task second: Beam's work would not stay"):
        job_file.read_to_run_here(with_beam(arguments, tmp_path))


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            document = document[parent]
        document[last] = value

    return change


_SECOND = "root/dag/tasks/second"
_EXECUTOR = "deploymentSpec/executors/exec-second"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("schemaVersion", "3.0"), "schemaVersion 3.0; expected 2.0.0 or 2.1.0"),
        (_set("root/dag/tasks/first/dependentTasks", ["second"]), "tasks wait for each other"),
        (_set(f"{_SECOND}/dependentTasks", ["zero"]), "second: comes after zero, which is no task"),
        (_set(f"{_SECOND}/componentRef/name", "comp-x"), "second: the file has no comp-x"),
        (_set("deploymentSpec/executors", {}), "task first: the file has no exec-first"),
        (_set(_EXECUTOR, {"customJob": {}}), "second: its executor is customJob"),
        (_set(_EXECUTOR, {"resolver": {}}), "second: its executor is resolver"),
        (_set(f"{_EXECUTOR}/container", {"image": "a:1"}), "second: its container has no command"),
        (
            _set(f"{_EXECUTOR}/container/lifecycle", {"preCacheCheck": {}}),
            "second: its executor has a driver",
        ),
        (_set(f"{_SECOND}/triggerPolicy", {"condition": "x"}), "second: triggerPolicy is not run"),
        (_set(f"{_SECOND}/parameterIterator", {}), "second: parameterIterator is not run"),
        (
            _set(f"{_SECOND}/inputs/artifacts/model/taskOutputArtifact/outputArtifactKey", "mode"),
            "second: model is mode of first, which makes no such thing",
        ),
        (
            _set(f"{_SECOND}/inputs/parameters/epochs/componentInputParameter", "epoch"),
            "second: epochs is epoch, no input of the pipeline",
        ),
        (_set("root/dag/tasks", []), "root.dag.tasks: a list; expected a mapping"),
        (_set("root", {}), "no tasks"),
        (
            _set("components/comp-second/inputDefinitions/parameters/text/parameterType", "TEXT"),
            "parameters.text: 'TEXT' is not a valid",
        ),
        (_set(f"{_SECOND}/retryPolicy/backoffDuration", "soon"), "soon; expected seconds"),
        (_set(f"{_SECOND}/retryPolicy/maxRetryCount", "two"), "maxRetryCount: a text; expected a"),
        (_set(f"{_EXECUTOR}/container/env", ["A=b"]), "container.env: a text; expected a mapping"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    document = small(KFP).document()
    change(document)
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        job_file.read(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"pipelineSpec": ', "no JSON"),
        (b"a: b: c\n", "no YAML"),
        (b"\xff\xfe", "neither JSON nor YAML"),
        (b"", "0 pipelines"),
        (b"text", "expected a mapping"),
        (b"{}", "has no schemaVersion"),
    ],
)
def test_another_file_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        job_file.read(path)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
