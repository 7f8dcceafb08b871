import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kubeflow.compiled_jobs import KFP, VERTEX, Job

HOST = ("--host", "https://kfp.example/pipeline")
PLACE = ("--project", "my-project", "--region", "europe-west1")


def movierec(job: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "movierec", "submit", str(job), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def compiled(schema: str, folder: Path, **changed: str) -> Path:
    usual = {"data": "gs://data/here", "pipeline_root": "gs://bucket/root"}
    job = Job(schema, epochs=5, **(usual | changed))
    return job.add("only", parameters={"epochs": "epochs"}).write(folder)


def test_a_dry_run_for_kfp_is_yaml(tmp_path: Path) -> None:
    result = movierec(compiled(KFP, tmp_path), *HOST, "--parameter", "epochs=7")
    assert result.returncode == 0, result.stderr
    shown = yaml.safe_load(result.stdout)
    assert shown["host"] == HOST[1]
    posts = [call["path"] for call in shown["calls"] if call["method"] == "POST"]
    names = ("pipelines", "pipelines/upload_version", "experiments", "runs")
    assert posts == [f"/apis/v2beta1/{name}" for name in names]
    assert shown["calls"][-1]["body"]["runtime_config"]["parameters"] == {"epochs": 7}
    assert result.stderr == "movierec: nothing was sent; --send sends this\n"


def test_a_dry_run_for_vertex_is_json(tmp_path: Path) -> None:
    path = compiled(VERTEX, tmp_path)
    result = movierec(path, *PLACE, "--target", "vertex", "--parameter", "epochs=7")
    assert result.returncode == 0, result.stderr
    bucket, create = json.loads(result.stdout)["calls"]
    assert bucket["path"].endswith("/b/bucket")
    assert create["query"]["pipelineJobId"].startswith("small-")
    expected = json.loads(path.read_text("utf-8"))
    expected["runtimeConfig"]["parameters"]["epochs"] = {"intValue": "7"}
    assert create["body"] == {"displayName": "small", **expected}
    assert result.stderr == "movierec: nothing was sent; --send sends this\n"


@pytest.mark.parametrize(
    ("schema", "arguments", "message"),
    [
        (KFP, [*HOST, "--target", "airflow"], "--target airflow: unknown; expected one of"),
        (KFP, [*PLACE, "--target", "vertex"], "job.yaml is a PipelineSpec, compiled for kfp"),
        (VERTEX, [*HOST, "--target", "kfp"], "job.json is a PipelineJob, compiled for vertex"),
        (KFP, [], "--host: not given; kfp needs the address of its API"),
        (KFP, ["--host", "kfp.example"], "--host: expected http://HOST:PORT"),
        (KFP, ["--host", "https://me:secret@kfp.example"], "without a user or a password"),
        (KFP, [*HOST, "--namespace", "A_B"], "--namespace A_B: expected"),
        (KFP, [*HOST, "--experiment", " "], "--experiment: not given"),
        (KFP, [*HOST, "--service-account", "a@b.c"], "--service-account a@b.c: expected"),
        (
            KFP,
            [*HOST, "--project", "my-project"],
            "--project: ",
        ),
        (KFP, [*HOST, "--label", "a=b"], "--label: "),
        (KFP, [*HOST, "--parameter", "steps=3"], "--parameter steps: the job has no such"),
        (KFP, [*HOST, "--parameter", "epochs=x"], "--parameter epochs=x: expected NUMBER_INTEGER"),
        (KFP, [*HOST, "--parameter", "epochs"], "--parameter epochs: expected NAME=VALUE"),
        (KFP, [*HOST, "--parameter", "data=/here"], "--parameter data /here: "),
        (KFP, [*HOST, "--parameter", "epochs=-3"], "--parameter epochs=-3: input should be"),
        (VERTEX, [*PLACE, "--parameter", "epochs=0"], "--parameter epochs=0: input should be"),
        (
            KFP,
            [*HOST, "--parameter", "pipeline_root=/here"],
            "--parameter pipeline_root /here: a folder of this machine",
        ),
        (KFP, [*HOST, "--cron", "0 3 * *"], "--cron 0 3 * *: 4 fields; expected five"),
        (KFP, [*HOST, "--cron", "0 3 * * 1", "--max-concurrent", "11"], "expected at most 10"),
        (KFP, [*HOST, "--max-concurrent", "2"], "--max-concurrent: "),
        (KFP, [*HOST, "--cron", "0 3 * * 1", "--send", "--wait"], "--wait: a schedule does not"),
        (KFP, [*HOST, "--wait"], "--wait: nothing is sent; expected with --send"),
        (KFP, [*HOST, "--run-name", ""], "--run-name: empty"),
        (KFP, ["--host", "http://127.0.0.1:1", "--send"], "--host http://127.0.0.1:1: "),
        (VERTEX, ["--region", "us-central1"], "--project: not given; vertex needs the id"),
        (VERTEX, ["--project", "my-project"], "--region: not given; vertex needs"),
        (VERTEX, ["--project", "A B", "--region", "us-central1"], "--project A B: expected the id"),
        (VERTEX, ["--project", "my-project", "--region", "x"], "--region x: expected a region"),
        (VERTEX, [*PLACE, "--namespace", "a"], "--namespace: "),
        (VERTEX, [*PLACE, "--service-account", "me"], "--service-account me: expected"),
        (VERTEX, [*PLACE, "--network", "default"], "--network default: expected projects/NUMBER"),
        (VERTEX, [*PLACE, "--label", "Team=a"], "--label Team=a: expected at most 63 lower-case"),
        (VERTEX, [*PLACE, "--label", "team"], "--label team: expected NAME=VALUE"),
        (VERTEX, [*PLACE, "--run-name", "r" * 129], "--run-name: 129 characters; expected"),
        (
            VERTEX,
            [*PLACE, "--parameter", "pipeline_root=s3://a/b"],
            "--parameter pipeline_root s3://a/b: vertex does not reach it",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_sent(
    schema: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = movierec(compiled(schema, tmp_path), *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("name", ["pipeline_root", "data", "push"])
def test_a_file_for_dry_runs_is_not_sent(name: str, tmp_path: Path) -> None:
    path = compiled(KFP, tmp_path, **{name: "/a/folder"})
    result = movierec(path, *HOST)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"movierec: {path}: {name} /a/folder: ")
    assert "expected gs://BUCKET/PATH" in line
    assert result.stdout == ""
    # A run that is given another place for it reaches all there is.
    sent = movierec(path, *HOST, "--parameter", f"{name}=gs://other/place")
    assert sent.returncode == 0, sent.stderr


@pytest.mark.parametrize("name", [None, "/root"])
def test_a_root_that_is_no_parameter_is_looked_at_too(name: str | None, tmp_path: Path) -> None:
    path = Job(KFP).add("only").write(tmp_path)
    document = yaml.safe_load(path.read_text("utf-8"))
    del document["defaultPipelineRoot"]
    if name is not None:
        document["defaultPipelineRoot"] = name
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    result = movierec(path, *HOST)
    assert result.returncode == (0 if name is None else 1)
    assert ("pipeline_root /root: " in result.stderr) == (name is not None)


@pytest.mark.parametrize(("schema", "place"), [(KFP, HOST), (VERTEX, PLACE)])
def test_the_push_folder_moves_with_the_root_that_it_is_in(
    schema: str, place: tuple[str, ...], tmp_path: Path
) -> None:
    path = compiled(schema, tmp_path, push="gs://bucket/root/serving/movierec")
    result = movierec(path, *place, "--parameter", "pipeline_root=gs://test/it/")
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
            "--region us-central1: the workers of {path} train in europe-west1; expected "
            "--region europe-west1, or a file compiled with vertex.region=us-central1",
        ),
        (
            ("--project", "other-project", "--region", "europe-west1"),
            "--project other-project: the workers of {path} train in my-project; expected "
            "--project my-project, or a file compiled with vertex.project=other-project",
        ),
        (PLACE, None),
    ],
)
def test_several_workers_of_vertex_train_where_the_run_is(
    place: tuple[str, ...], message: str | None, tmp_path: Path
) -> None:
    path = compiled_with(VERTEX, tmp_path, CUSTOM_JOB)
    holds(movierec(path, *place), message and message.format(path=path))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--namespace", "team-b"],
            "--namespace team-b: the workers of {path} train in team-a; expected --namespace "
            "team-a, or a file compiled with kfp.namespace=team-b",
        ),
        (["--namespace", "team-a"], None),
        # Of a platform for one team there is no more to know.
        ([], None),
        (
            ["--parameter", "pipeline_root=s3://bucket/root"],
            "--parameter pipeline_root s3://bucket/root: TensorFlow does not read it, as each of "
            "several workers must; expected gs://BUCKET/PATH, or training.workers=1",
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
    holds(movierec(path, *HOST, *more), message and message.format(path=path))


@pytest.mark.parametrize(
    ("told", "more", "message"),
    [
        (
            ["--runner=FlinkRunner", "--environment_type=DOCKER"],
            ["--parameter", "pipeline_root=minio://bucket/root"],
            "--parameter pipeline_root minio://bucket/root: only steps that work on their own "
            "machine reach it; expected gs://BUCKET/PATH, or beam.runner=direct",
        ),
        (
            ["--runner=PortableRunner", "--job_endpoint=a:1"],
            ["--parameter", "data=s3://bucket/data"],
            "--parameter data s3://bucket/data: only steps that work on their own machine reach "
            "it; expected gs://BUCKET/PATH, or beam.runner=direct",
        ),
        (
            ["--runner=PortableRunner", "--environment_type=LOOPBACK"],
            [],
            "beam.environment_type=LOOPBACK: a cluster does not reach the process of a step; "
            "expected DOCKER, EXTERNAL or PROCESS",
        ),
        (
            ["--runner=SparkRunner", "--spark_master_url=spark://a:1"],
            [],
            "beam.spark_master_url: the step would start a job server, which needs Java, and the "
            "image has none; expected beam.job_endpoint, HOST:PORT of one that runs",
        ),
        (["--runner=FnApiRunner"], ["--parameter", "pipeline_root=s3://bucket/root"], None),
    ],
)
def test_workers_of_beam_reach_what_a_run_is_given(
    told: list[str], more: list[str], message: str | None, tmp_path: Path
) -> None:
    path = compiled_with(KFP, tmp_path, args=["{{$}}", *told])
    holds(movierec(path, *HOST, *more), message)


def holds(result: subprocess.CompletedProcess[str], message: str | None) -> None:
    """That the request was shown, or refused with one line."""
    if message is None:
        assert result.returncode == 0, result.stderr
        assert yaml.safe_load(result.stdout)["calls"]
        return
    assert result.returncode == 1
    assert result.stderr == f"movierec: {message}\n"
    assert result.stdout == ""


@pytest.mark.parametrize("content", [None, "{", "schemaVersion: 9.9.9\n"])
def test_a_file_that_is_no_job_is_one_line(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    result = movierec(path, *HOST)
    assert result.returncode == 1
    assert str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("runtimeConfig", None, "job.json: has no runtimeConfig"),
        ("runtimeConfig", {"gcsOutputDirectory": "/here"}, "gs://BUCKET/PATH"),
        ("name", "9lives", "9lives: expected lower-case letters, digits"),
        ("name", "a" * 114, "114 characters; expected at most 113 for vertex"),
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
    result = movierec(path, *PLACE, *given)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_file_that_kfp_would_not_know_by_its_name(tmp_path: Path) -> None:
    path = compiled(KFP, tmp_path).rename(tmp_path / "job.txt")
    result = movierec(path, *HOST)
    assert result.returncode == 1
    assert "job.txt: expected a name that ends in .yaml or .yml for kfp" in result.stderr


@pytest.mark.parametrize(("schema", "place"), [(KFP, HOST), (VERTEX, PLACE)])
def test_a_dry_run_imports_no_client(schema: str, place: tuple[str, ...], tmp_path: Path) -> None:
    job = compiled(schema, tmp_path)
    code = (
        "import sys\n"
        f"sys.argv = ['movierec', 'submit', {str(job)!r}, *{place!r}]\n"
        "from movierec.cli.app import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print('#', end.code or 0, [n for n in sys.modules if n in ('tensorflow', 'tfx', "
        "'kfp', 'google.cloud.aiplatform', 'numpy', 'pyarrow', 'apache_beam', 'grpc')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "# 0 []"
