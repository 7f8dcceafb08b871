"""The flags of each runner, read by Beam's own parser, and the configurations that are refused."""

import importlib.util
import json
import logging
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options import pipeline_options as beam
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner
from apache_beam.transforms import environments

from pipeline import beam_check
from pipeline.config.beam import BEAM_STEPS, BeamConfig
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config, to_toml

IMAGE = "registry.example/movierec:1.2"
SERVICE = ("beam.job_endpoint=service:8099",)
DATAFLOW = (
    "beam.runner=dataflow",
    "beam.project=some-project",
    "beam.region=europe-west4",
    "beam.temp_location=gs://bucket/tmp",
)


def configured(*overrides: str) -> BeamConfig:
    return load_config(None, overrides).beam


def told(
    caplog: pytest.LogCaptureFixture, *overrides: str, step: str = "Transform", image: Any = IMAGE
) -> beam.PipelineOptions:
    """The options that Beam reads; it must know all of them, and find nothing wrong."""
    options = beam.PipelineOptions(configured(*overrides).arguments_for(step, image))
    with caplog.at_level(logging.WARNING):
        options.get_all_options(display_warnings=True)
    assert "unparseable" not in caplog.text
    # Validated for no runner: that of Dataflow would ask the cloud.
    assert PipelineOptionsValidator(options, None).validate() == []
    return options


def environment(options: beam.PipelineOptions) -> Any:
    return environments.Environment.from_options(options.view_as(beam.PortableOptions))


def refusal(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        configured(*overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_parser_of_these_tests_notices_what_beam_does_not_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(AssertionError):
        told(caplog, 'beam.arguments=["--no_such_option=1"]')


def test_direct_is_this_process(caplog: pytest.LogCaptureFixture) -> None:
    options = told(caplog)
    assert options.view_as(beam.StandardOptions).runner == "FnApiRunner"
    assert options.view_as(beam.DirectOptions).direct_num_workers == 1
    assert options.view_as(beam.DirectOptions).direct_running_mode == "in_memory"
    assert not options.view_as(beam.TypeOptions).pipeline_type_check
    # No worker starts from it; TFX leaves itself unpacked for any.
    assert options.view_as(beam.WorkerOptions).sdk_container_image == "none"


def test_direct_with_workers_is_as_many_processes(caplog: pytest.LogCaptureFixture) -> None:
    options = told(caplog, "beam.workers=3")
    assert options.view_as(beam.DirectOptions).direct_num_workers == 3
    assert options.view_as(beam.DirectOptions).direct_running_mode == "multi_processing"
    # A fresh process cannot import TFDV without the one, and gets Keras 3 without the other.
    assert options.view_as(beam.SetupOptions).beam_plugins == ["pipeline", "tfx"]
    assert hasattr(create_runner(options.view_as(beam.StandardOptions).runner), "run_pipeline")


@pytest.mark.parametrize("runner", ["flink", "spark", "portable"])
def test_a_job_service_has_workers_start_the_image_of_the_steps(
    runner: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = told(
        caplog,
        f"beam.runner={runner}",
        *SERVICE,
        'beam.arguments=["--artifact_endpoint=service:8098"]',
        "beam.workers=2",
    )
    names = {"flink": "FlinkRunner", "spark": "SparkRunner", "portable": "PortableRunner"}
    assert options.view_as(beam.StandardOptions).runner == names[runner]
    portable = options.view_as(beam.PortableOptions)
    assert portable.job_endpoint == "service:8099"
    assert portable.artifact_endpoint == "service:8098"
    assert int(portable.sdk_worker_parallelism) == 2
    assert isinstance(environment(options), environments.DockerEnvironment)
    assert environment(options).container_image == IMAGE
    assert options.view_as(beam.WorkerOptions).sdk_container_image == IMAGE
    assert options.view_as(beam.SetupOptions).beam_plugins == ["pipeline", "tfx"]


def test_a_step_of_this_process_is_its_own_worker(caplog: pytest.LogCaptureFixture) -> None:
    options = told(caplog, "beam.runner=portable", *SERVICE, image=None)
    assert options.view_as(beam.PortableOptions).environment_type == "LOOPBACK"
    assert options.view_as(beam.WorkerOptions).sdk_container_image == "none"


def test_workers_that_are_there_already(caplog: pytest.LogCaptureFixture) -> None:
    options = told(
        caplog,
        "beam.runner=flink",
        *SERVICE,
        "beam.environment_type=EXTERNAL",
        "beam.environment_config=localhost:50000",
    )
    assert isinstance(environment(options), environments.ExternalEnvironment)
    assert environment(options).url == "localhost:50000"
    assert options.view_as(beam.WorkerOptions).sdk_container_image == IMAGE


def test_workers_that_a_command_starts(caplog: pytest.LogCaptureFixture) -> None:
    config = json.dumps({"command": "/opt/apache/beam/boot"})
    options = told(
        caplog,
        "beam.runner=portable",
        *SERVICE,
        "beam.environment_type=PROCESS",
        f"beam.environment_config={config}",
    )
    assert isinstance(environment(options), environments.ProcessEnvironment)
    assert environment(options).command == "/opt/apache/beam/boot"


def test_flink_is_sent_the_whole_job(caplog: pytest.LogCaptureFixture) -> None:
    options = told(
        caplog,
        "beam.runner=flink",
        "beam.flink_master=jobs.example:8081",
        'beam.arguments=["--parallelism=8"]',
    )
    flink = options.view_as(beam.FlinkRunnerOptions)
    assert flink.flink_master == "jobs.example:8081"
    assert flink.flink_submit_uber_jar
    assert flink.parallelism == 8
    assert environment(options).container_image == IMAGE


def test_spark_gets_a_job_server(caplog: pytest.LogCaptureFixture) -> None:
    options = told(
        caplog,
        "beam.runner=spark",
        "beam.spark_master_url=spark://spark.example:7077",
        'beam.arguments=["--spark_job_server_jar=/jars/spark.jar"]',
    )
    spark = options.view_as(beam.SparkRunnerOptions)
    assert spark.spark_master_url == "spark://spark.example:7077"
    assert spark.spark_job_server_jar == "/jars/spark.jar"
    assert not spark.spark_submit_uber_jar


def test_dataflow(caplog: pytest.LogCaptureFixture) -> None:
    options = told(
        caplog,
        *DATAFLOW,
        "beam.workers=2",
        'beam.arguments=["--max_num_workers=9", "--machine_type=n1-standard-4"]',
    )
    assert options.view_as(beam.StandardOptions).runner == "DataflowRunner"
    cloud = options.view_as(beam.GoogleCloudOptions)
    assert cloud.project == "some-project"
    assert cloud.region == "europe-west4"
    assert cloud.temp_location == "gs://bucket/tmp"
    workers = options.view_as(beam.WorkerOptions)
    assert workers.machine_type == "n1-standard-4"
    assert (workers.num_workers, workers.max_num_workers) == (2, 9)
    assert workers.sdk_container_image == IMAGE
    assert options.view_as(beam.SetupOptions).beam_plugins == ["pipeline", "tfx"]


def test_a_step_has_its_own_options_before_those_of_all(caplog: pytest.LogCaptureFixture) -> None:
    overrides = (
        *DATAFLOW,
        'beam.arguments=["--disk_size_gb=50", "--machine_type=n1-standard-4"]',
        'beam.component_arguments={Evaluator=["--disk_size_gb=90", "--machine_type=n1-highmem-8"]}',
    )
    sizes = {}
    for step in BEAM_STEPS:
        workers = told(caplog, *overrides, step=step).view_as(beam.WorkerOptions)
        sizes[step] = (workers.disk_size_gb, workers.machine_type)
    assert sizes == dict.fromkeys(BEAM_STEPS, (50, "n1-standard-4")) | {
        "Evaluator": (90, "n1-highmem-8")
    }


@pytest.mark.parametrize(
    ("overrides", "missing"),
    [
        (["beam.runner=portable"], "beam.job_endpoint"),
        (["beam.runner=flink"], "beam.flink_master"),
        (["beam.runner=spark"], "beam.spark_master_url"),
        (["beam.runner=dataflow"], "beam.project, beam.region and beam.temp_location"),
        (DATAFLOW[:-1], "beam.temp_location"),
        (
            ["beam.runner=portable", *SERVICE, "beam.environment_type=EXTERNAL"],
            "beam.environment_config",
        ),
        (
            ["beam.runner=portable", *SERVICE, "beam.environment_type=PROCESS"],
            "beam.environment_config",
        ),
    ],
)
def test_what_a_runner_cannot_do_without(overrides: list[str], missing: str) -> None:
    assert f"needs {missing}" in refusal(*overrides)


# Every key but those that are for all runners, with a value that is right for one of them.
KEYS = {
    "job_endpoint": "a:1",
    "environment_type": "LOOPBACK",
    "environment_config": "a:1",
    "flink_master": "a:1",
    "spark_master_url": "spark://a:1",
    "project": "some-project",
    "region": "europe-west4",
    "temp_location": "gs://bucket/tmp",
}


def test_these_are_all_keys() -> None:
    for_all = {"runner", "workers", "arguments", "component_arguments"}
    assert KEYS.keys() | for_all == BeamConfig.model_fields.keys()


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_does_nothing_is_refused(key: str) -> None:
    line = refusal(f"beam.{key}={KEYS[key]}")
    assert f"beam.{key} has no effect with runner=direct; " in line


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["beam.runner=flink", *SERVICE, "beam.flink_master=a:1"], "beam.flink_master has no"),
        (["beam.runner=portable", *SERVICE, "beam.flink_master=a:1"], "it is for flink"),
        (["beam.runner=flink", *SERVICE, "beam.region=europe-west4"], "it is for dataflow"),
        (
            ["beam.runner=portable", *SERVICE, "beam.environment_config=other:1"],
            "the image of the steps",
        ),
        (['beam.arguments=["--runner=DirectRunner"]'], "beam.runner in place of --runner="),
        (['beam.arguments=["--flink_master=a:1"]'], "beam.flink_master in place of"),
        (['beam.arguments=["--sdk_container_image=other"]'], "run the image of the steps"),
        (['beam.arguments=["--disk_size_gb", "50"]'], "expected --FLAG=VALUE"),
        (
            ['beam.component_arguments={Trainer=["--disk_size_gb=50"]}'],
            "unknown step Trainer",
        ),
        (
            ['beam.component_arguments={Evaluator=["--environment_type=DOCKER"]}'],
            "beam.environment_type in place of",
        ),
        (
            ['beam.component_arguments={Evaluator=["--direct_num_workers=2"]}'],
            "beam.workers in place",
        ),
        (["beam.runner=FnApiRunner"], "'direct', 'flink', 'spark', 'dataflow' or 'portable'"),
        (["beam.runner=portable", "beam.job_endpoint=8099"], "expected HOST:PORT"),
        (["beam.workers=0"], "expected 1 or more"),
    ],
)
def test_what_is_refused(overrides: list[str], part: str) -> None:
    assert part in refusal(*overrides)


# The flag that replaces each key of earlier versions, by Beam's documentation of its options.
REPLACED = {
    "parallelism": ["--parallelism"],
    "artifact_endpoint": ["--artifact_endpoint"],
    "job_server_jar": ["--flink_job_server_jar", "--spark_job_server_jar"],
    "service_account": ["--service_account_email"],
    "subnetwork": ["--subnetwork"],
    "machine_type": ["--machine_type"],
    "max_workers": ["--max_num_workers"],
    "autoscaling": ["--autoscaling_algorithm"],
}


@pytest.mark.parametrize("key", REPLACED)
def test_a_key_of_earlier_versions_names_the_flag_that_replaces_it(key: str) -> None:
    line = refusal("beam.runner=flink", f"beam.{key}=4")
    assert f"beam.{key} is no longer a key" in line
    assert "beam.arguments" in line
    known = beam.PipelineOptions([]).get_all_options()
    for flag in REPLACED[key]:
        assert flag in line
        assert flag.removeprefix("--") in known


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    config = load_config(
        None, [*DATAFLOW, 'beam.component_arguments={Transform=["--disk_size_gb=90"]}']
    )
    (tmp_path / "run.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "run.toml") == config


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (DATAFLOW, "beam.runner=dataflow: .*files of this machine"),
        (
            ["beam.runner=portable", *SERVICE, "beam.environment_type=DOCKER"],
            "beam.environment_type=DOCKER: .*files of this machine",
        ),
    ],
)
def test_workers_that_do_not_reach_the_files_of_a_run(overrides: list[str], part: str) -> None:
    with pytest.raises(UserError, match=part):
        beam_check.check_run(configured(*overrides))


def test_a_run_looks_whether_the_job_service_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        portable = configured("beam.runner=portable", f"beam.job_endpoint=127.0.0.1:{port}")
        beam_check.check_run(portable)
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}: no job service"):
        beam_check.check_run(portable)


def test_workers_of_a_cluster() -> None:
    flink = configured("beam.runner=flink", *SERVICE)
    beam_check.check_compiled(flink, IMAGE, "gs://bucket/root", "installed://ml-100k")
    with pytest.raises(UserError, match=r"--pipeline-root s3://bucket/root: only steps"):
        beam_check.check_compiled(flink, IMAGE, "s3://bucket/root", "gs://data")
    with pytest.raises(UserError, match=r"data minio://data: only steps"):
        beam_check.check_compiled(flink, IMAGE, "gs://bucket/root", "minio://data")
    with pytest.raises(UserError, match=r"DOCKER: .*files of this machine"):
        beam_check.check_compiled(flink, IMAGE, "/dry/run", "/data")
    beam_check.check_compiled(configured(), IMAGE, "s3://bucket/root", "s3://data")


def test_the_image_has_no_java_for_a_job_server() -> None:
    spark = ("beam.runner=spark", "beam.spark_master_url=spark://a:7077")
    with pytest.raises(UserError, match=r"needs Java, .* expected beam\.job_endpoint, HOST:PORT"):
        beam_check.check_compiled(configured(*spark), IMAGE, "gs://bucket/root", "gs://data")
    served = configured("beam.runner=spark", *SERVICE)
    beam_check.check_compiled(served, IMAGE, "gs://bucket/root", "gs://data")
    flink = configured("beam.runner=flink", "beam.flink_master=a:8081")
    beam_check.check_compiled(flink, IMAGE, "gs://bucket/root", "gs://data")
    # A dry run works on this machine, which may have it.
    here = configured(*spark, "beam.environment_type=LOOPBACK")
    beam_check.check_compiled(here, IMAGE, "/dry/run", "/data")


def test_loopback_is_for_the_process_of_a_run() -> None:
    loopback = configured("beam.runner=portable", *SERVICE, "beam.environment_type=LOOPBACK")
    beam_check.check_compiled(loopback, IMAGE, "/dry/run", "/data")
    with pytest.raises(UserError, match="LOOPBACK: a cluster does not reach"):
        beam_check.check_compiled(loopback, IMAGE, "gs://bucket/root", "gs://data")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            'beam.arguments=["--disk_size_gb=much"]',
            "beam.arguments: argument --disk_size_gb: invalid int value: 'much'",
        ),
        ('beam.arguments=["--no_such=1"]', "beam.arguments: --no_such: Beam has no such flag"),
        (
            'beam.component_arguments={Transform=["--no_such=1"]}',
            "beam.component_arguments.Transform: --no_such: Beam has no such flag",
        ),
    ],
)
def test_beam_must_know_what_it_is_told(override: str, line: str) -> None:
    for overrides in ([override], [*DATAFLOW, override]):
        with pytest.raises(UserError) as caught:
            beam_check.check_compiled(configured(*overrides), IMAGE, "gs://b/r", "gs://b/d")
        assert str(caught.value) == line


def test_a_job_service_may_have_options_of_its_own() -> None:
    portable = configured("beam.runner=portable", *SERVICE, 'beam.arguments=["--its_own=1"]')
    beam_check.check_compiled(portable, IMAGE, "gs://b/r", "gs://b/d")


def start(*overrides: str) -> None:
    beam_check.check_start(configured(*overrides).arguments_for("Evaluator", IMAGE))


def test_dataflow_needs_the_clients_of_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "google.cloud.dataflow" else find(name),
    )
    with pytest.raises(UserError, match=r"install apache-beam\[gcp\]"):
        start(*DATAFLOW)


def test_spark_needs_java_where_the_job_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    spark = ("beam.runner=spark", "beam.spark_master_url=spark://a:7077")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="needs Java"):
        start(*spark)
    start("beam.runner=spark", *SERVICE)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    start(*spark)


def test_a_jar_must_be_there(tmp_path: Path) -> None:
    flink = ("beam.runner=flink", "beam.flink_master=a:8081")
    jar = f'beam.arguments=["--flink_job_server_jar={tmp_path}/flink.jar"]'
    with pytest.raises(UserError, match=r"--flink_job_server_jar=.*flink\.jar: no such file"):
        start(*flink, jar)
    (tmp_path / "flink.jar").touch()
    start(*flink, jar)
    start(*flink, 'beam.arguments=["--flink_job_server_jar=https://files.example/flink.jar"]')


def test_only_direct_work_uses_what_this_machine_has_mounted() -> None:
    assert beam_check.stays_here([])
    for overrides in ([], ["beam.workers=2"]):
        assert beam_check.stays_here(configured(*overrides).arguments_for("Evaluator", IMAGE))
    for overrides in (DATAFLOW, ("beam.runner=flink", *SERVICE)):
        assert not beam_check.stays_here(configured(*overrides).arguments_for("Evaluator", IMAGE))
