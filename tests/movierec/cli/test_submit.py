import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.kubeflow.compiled_jobs import KFP, VERTEX, Job
from tests.movierec.cli.command import assert_refused, imported_by, movierec

HOST = ("--host", "https://kfp.example/pipeline")
PLACE = ("--project", "my-project", "--region", "europe-west1")


def submit(job: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return movierec("submit", str(job), *arguments)


def compiled(schema: str, folder: Path, **changed: str) -> Path:
    usual = {"data": "gs://data/here", "pipeline_root": "gs://bucket/root"}
    job = Job(schema, epochs=5, **(usual | changed))
    return job.add("only", parameters={"epochs": "epochs"}).write(folder)


def test_a_dry_run_for_kfp_is_yaml(tmp_path: Path) -> None:
    result = submit(compiled(KFP, tmp_path), *HOST, "--parameter", "epochs=7")
    assert result.returncode == 0, result.stderr
    shown = yaml.safe_load(result.stdout)
    assert shown["host"] == HOST[1]
    posts = [call["path"] for call in shown["calls"] if call["method"] == "POST"]
    names = ("pipelines", "pipelines/upload_version", "experiments", "runs")
    assert posts == [f"/apis/v2beta1/{name}" for name in names]
    assert shown["calls"][-1]["body"]["runtime_config"]["parameters"] == {"epochs": 7}
    assert result.stderr.startswith("movierec: nothing was sent")


def test_a_dry_run_for_vertex_is_json(tmp_path: Path) -> None:
    path = compiled(VERTEX, tmp_path)
    result = submit(path, *PLACE, "--target", "vertex", "--parameter", "epochs=7")
    assert result.returncode == 0, result.stderr
    bucket, create = json.loads(result.stdout)["calls"]
    assert bucket["path"].endswith("/b/bucket")
    assert create["query"]["pipelineJobId"].startswith("small-")
    expected = json.loads(path.read_text("utf-8"))
    expected["runtimeConfig"]["parameters"]["epochs"] = {"intValue": "7"}
    assert create["body"] == {"displayName": "small", **expected}
    assert result.stderr.startswith("movierec: nothing was sent")


@pytest.mark.parametrize(
    ("schema", "arguments", "message"),
    [
        (KFP, [*HOST, "--target", "airflow"], "--target airflow: "),
        (KFP, [*PLACE, "--target", "vertex"], "job.yaml is a PipelineSpec"),
        (VERTEX, [*HOST, "--target", "kfp"], "job.json is a PipelineJob"),
        (KFP, [], "--host: "),
        (KFP, ["--host", "kfp.example"], "--host: "),
        (KFP, ["--host", "https://me:secret@kfp.example"], "--host: "),
        (KFP, [*HOST, "--namespace", "A_B"], "--namespace A_B: "),
        (KFP, [*HOST, "--experiment", " "], "--experiment: "),
        (KFP, [*HOST, "--service-account", "a@b.c"], "--service-account a@b.c: "),
        (KFP, [*HOST, "--project", "my-project"], "--project: "),
        (KFP, [*HOST, "--label", "a=b"], "--label: "),
        (KFP, [*HOST, "--parameter", "steps=3"], "--parameter steps: "),
        (KFP, [*HOST, "--parameter", "epochs=x"], "--parameter epochs=x: "),
        (KFP, [*HOST, "--parameter", "epochs"], "--parameter epochs: "),
        (KFP, [*HOST, "--parameter", "data=/here"], "--parameter data /here: "),
        (KFP, [*HOST, "--parameter", "epochs=-3"], "--parameter epochs=-3: "),
        (VERTEX, [*PLACE, "--parameter", "epochs=0"], "--parameter epochs=0: "),
        (
            KFP,
            [*HOST, "--parameter", "pipeline_root=/here"],
            "--parameter pipeline_root /here: ",
        ),
        (KFP, [*HOST, "--cron", "0 3 * *"], "--cron 0 3 * *: "),
        (KFP, [*HOST, "--cron", "0 3 * * 1", "--max-concurrent", "11"], "--max-concurrent"),
        (KFP, [*HOST, "--max-concurrent", "2"], "--max-concurrent: "),
        (KFP, [*HOST, "--cron", "0 3 * * 1", "--send", "--wait"], "--wait: "),
        (KFP, [*HOST, "--wait"], "--wait: "),
        (KFP, [*HOST, "--run-name", ""], "--run-name: "),
        (KFP, ["--host", "http://127.0.0.1:1", "--send"], "http://127.0.0.1:1: "),
        (VERTEX, ["--region", "us-central1"], "--project: "),
        (VERTEX, ["--project", "my-project"], "--region: "),
        (VERTEX, ["--project", "A B", "--region", "us-central1"], "--project A B: "),
        (VERTEX, ["--project", "my-project", "--region", "x"], "--region x: "),
        (VERTEX, [*PLACE, "--namespace", "a"], "--namespace: "),
        (VERTEX, [*PLACE, "--service-account", "me"], "--service-account me: "),
        (VERTEX, [*PLACE, "--network", "default"], "--network default: "),
        (VERTEX, [*PLACE, "--label", "Team=a"], "--label Team=a: "),
        (VERTEX, [*PLACE, "--label", "team"], "--label team: "),
        (VERTEX, [*PLACE, "--run-name", "r" * 129], "--run-name: 129 characters"),
        (
            VERTEX,
            [*PLACE, "--parameter", "pipeline_root=s3://a/b"],
            "--parameter pipeline_root s3://a/b: ",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_sent(
    schema: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = submit(compiled(schema, tmp_path), *arguments)
    assert_refused(result, message)
    assert "secret" not in result.stderr


@pytest.mark.parametrize("name", ["pipeline_root", "data", "push"])
def test_a_file_for_dry_runs_is_not_sent(name: str, tmp_path: Path) -> None:
    path = compiled(KFP, tmp_path, **{name: "/a/folder"})
    assert_refused(submit(path, *HOST), f"{path}: {name} /a/folder: ", "gs://BUCKET/PATH")
    # A run that is given another place for it reaches all there is.
    sent = submit(path, *HOST, "--parameter", f"{name}=gs://other/place")
    assert sent.returncode == 0, sent.stderr


@pytest.mark.parametrize("name", [None, "/root"])
def test_a_root_that_is_no_parameter_is_looked_at_too(name: str | None, tmp_path: Path) -> None:
    path = Job(KFP).add("only").write(tmp_path)
    document = yaml.safe_load(path.read_text("utf-8"))
    del document["defaultPipelineRoot"]
    if name is not None:
        document["defaultPipelineRoot"] = name
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    result = submit(path, *HOST)
    assert result.returncode == (0 if name is None else 1)
    assert ("pipeline_root /root: " in result.stderr) == (name is not None)


@pytest.mark.parametrize(("schema", "place"), [(KFP, HOST), (VERTEX, PLACE)])
def test_the_push_folder_moves_with_the_root_that_it_is_in(
    schema: str, place: tuple[str, ...], tmp_path: Path
) -> None:
    path = compiled(schema, tmp_path, push="gs://bucket/root/serving/movierec")
    result = submit(path, *place, "--parameter", "pipeline_root=gs://test/it/")
    assert result.returncode == 0, result.stderr
    moved = {"pipeline_root": "gs://test/it", "push": "gs://test/it/serving/movierec"}
    body = yaml.safe_load(result.stdout)["calls"][-1]["body"]
    if schema == KFP:
        assert body["runtime_config"]["parameters"] == moved
    else:
        sent = body["runtimeConfig"]["parameters"]
        assert {name: sent[name]["stringValue"] for name in moved} == moved


def compiled_with(schema: str, folder: Path, settings: str = "{}", **container: object) -> Path:
    """A job whose step has something of its own in its settings or in its container."""
    job = Job(schema, epochs=5, data="gs://data/here", pipeline_root="gs://bucket/root")
    job.add("only", constants={"custom_config": settings})
    job.executors["exec-only"]["container"] |= container
    return job.write(folder)


# What the Trainer is told of a CustomJob, beside a number and a text that a run fills in.
CUSTOM_JOB = """{
    "training": {"epochs": {{$.inputs.parameters['pipelinechannel--epochs']}}},
    "checkpoints": "{{$.inputs.parameters['pipelinechannel--pipeline_root']}}/checkpoints",
    "ai_platform_training_args": {"project": "my-project", "job_spec": {}},
    "ai_platform_vertex_region": "europe-west1"
}"""


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            ("--project", "my-project", "--region", "us-central1"),
            "--region us-central1: {path} ",
        ),
        (
            ("--project", "other-project", "--region", "europe-west1"),
            "--project other-project: {path} ",
        ),
        (PLACE, None),
    ],
)
def test_several_workers_of_vertex_train_where_the_run_is(
    place: tuple[str, ...], message: str | None, tmp_path: Path
) -> None:
    path = compiled_with(VERTEX, tmp_path, CUSTOM_JOB)
    holds(submit(path, *place), message and message.format(path=path))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--namespace", "team-b"],
            "--namespace team-b: {path} ",
        ),
        (["--namespace", "team-a"], None),
        # Of a platform for one team there is no more to know.
        ([], None),
        (
            ["--parameter", "pipeline_root=s3://bucket/root"],
            "--parameter pipeline_root s3://bucket/root: TensorFlow",
        ),
        (["--parameter", "data=s3://bucket/root"], None),
    ],
)
def test_several_workers_of_kubeflow_train_beside_the_run(
    more: list[str], message: str | None, tmp_path: Path
) -> None:
    variable = {
        "name": "MOVIEREC_TRAINING_JOB",
        "value": json.dumps({"kind": "TFJob", "metadata": {"namespace": "team-a"}}),
    }
    path = compiled_with(KFP, tmp_path, env=[variable])
    holds(submit(path, *HOST, *more), message and message.format(path=path))


@pytest.mark.parametrize(
    ("told", "more", "message"),
    [
        (
            ["--runner=FlinkRunner", "--environment_type=DOCKER"],
            ["--parameter", "pipeline_root=minio://bucket/root"],
            "--parameter pipeline_root minio://bucket/root: ",
        ),
        (
            ["--runner=PortableRunner", "--job_endpoint=a:1"],
            ["--parameter", "data=s3://bucket/data"],
            "--parameter data s3://bucket/data: ",
        ),
        (
            ["--runner=PortableRunner", "--environment_type=LOOPBACK"],
            [],
            "beam.environment_type=LOOPBACK: ",
        ),
        (
            ["--runner=SparkRunner", "--spark_master_url=spark://a:1"],
            [],
            "beam.spark_master_url: ",
        ),
        (["--runner=FnApiRunner"], ["--parameter", "pipeline_root=s3://bucket/root"], None),
    ],
)
def test_workers_of_beam_reach_what_a_run_is_given(
    told: list[str], more: list[str], message: str | None, tmp_path: Path
) -> None:
    path = compiled_with(KFP, tmp_path, args=["{{$}}", *told])
    holds(submit(path, *HOST, *more), message)


def holds(result: subprocess.CompletedProcess[str], message: str | None) -> None:
    """The request was shown, or refused with one line."""
    if message is None:
        assert result.returncode == 0, result.stderr
        assert yaml.safe_load(result.stdout)["calls"]
        return
    assert_refused(result, message)


@pytest.mark.parametrize("content", [None, "{", "schemaVersion: 9.9.9\n"])
def test_a_file_that_is_no_job_is_one_line(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert_refused(submit(path, *HOST), str(path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("runtimeConfig", None, "runtimeConfig"),
        ("runtimeConfig", {"gcsOutputDirectory": "/here"}, "pipeline root"),
        ("name", "9lives", "9lives"),
        ("name", "a" * 114, "114 characters"),
    ],
)
def test_a_job_that_vertex_would_not_take(
    key: str, value: object, message: str, tmp_path: Path
) -> None:
    path = compiled(VERTEX, tmp_path)
    document = json.loads(path.read_text("utf-8"))
    if key == "name":
        document["pipelineSpec"]["pipelineInfo"]["name"] = value
    elif value is None:
        del document["runtimeConfig"]
    else:
        document["runtimeConfig"] |= value
    path.write_text(json.dumps(document), encoding="utf-8")
    given = () if value is not None else ("--parameter", "epochs=1")
    assert_refused(submit(path, *PLACE, *given), message)


def test_a_file_that_kfp_would_not_know_by_its_name(tmp_path: Path) -> None:
    path = compiled(KFP, tmp_path).rename(tmp_path / "job.txt")
    assert_refused(submit(path, *HOST), "job.txt: ", ".yaml")


@pytest.mark.parametrize(("schema", "place"), [(KFP, HOST), (VERTEX, PLACE)])
def test_a_dry_run_imports_no_client(schema: str, place: tuple[str, ...], tmp_path: Path) -> None:
    code, modules = imported_by("submit", str(compiled(schema, tmp_path)), *place)
    assert code == 0
    clients = {"kfp", "google.cloud.aiplatform"}
    assert (
        not (clients | {"tensorflow", "tfx", "numpy", "pyarrow", "apache_beam", "grpc"}) & modules
    )
