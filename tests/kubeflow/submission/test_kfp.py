"""What kfp.Client sends, held against the published API of Kubeflow Pipelines."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.submission import run_watcher
from kubeflow.targets import Target
from pipeline.config.tree import load_config
from tests.kubeflow.command_line import Movierec, caller, interrupted
from tests.kubeflow.compiled_jobs import KFP, Job
from tests.kubeflow.kfp_server import Kfp, RefusedError, check, predicate_of, served

PLATFORMS = {
    "platforms": {
        "kubernetes": {
            "deploymentSpec": {
                "executors": {"exec-first": {"nodeSelector": {"labels": {"gpu": "t4"}}}}
            }
        }
    }
}


@pytest.fixture
def server() -> Iterator[Kfp]:
    with served() as kfp_server:
        yield kfp_server
        assert kfp_server.refused == []


@pytest.fixture
def movierec(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Movierec:
    """The command line, away from the settings of whoever runs the tests."""
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    monkeypatch.setattr(run_watcher, "POLL_SECONDS", 0.0)

    call = caller(monkeypatch, capsys)
    return lambda *arguments: call("submit", *arguments)


def small() -> Job:
    job = Job(KFP, epochs=5, max_rmse=0.9, data="gs://data/here", pipeline_root="gs://bucket/root")
    job.add("first", parameters={"epochs": "epochs"}, cachingOptions={"enableCache": True})
    return job.add("second", dependentTasks=["first"])


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A compiled file with two documents, as it is when training wants nodes of its own."""
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump_all([small().document(), PLATFORMS]), encoding="utf-8")
    return path


def test_the_server_refuses_what_the_published_api_does_not_know() -> None:
    check({"display_name": "run", "runtime_config": {"parameters": {"a": 1}}}, "V2beta1Run")
    with pytest.raises(RefusedError, match="pipelineRoot"):
        check({"runtime_config": {"pipelineRoot": "gs://b"}}, "V2beta1Run")
    with pytest.raises(RefusedError, match=r"trigger\.cron_schedule\.cron"):
        check({"trigger": {"cron_schedule": {"cron": 3}}}, "V2beta1RecurringRun")
    with pytest.raises(RefusedError, match="mode"):
        check({"mode": "ON"}, "V2beta1RecurringRun")


def test_a_run_of_an_uploaded_version(server: Kfp, job: Path, movierec: Movierec) -> None:
    ended = movierec(
        *(str(job), "--target", "kfp", "--host", f"{server.host}/", "--send"),
        *("--parameter", "epochs=7", "--parameter", "max_rmse=1", "--run-name", "weekly"),
        *("--experiment", "nightly", "--service-account", "trainer"),
    )
    assert ended.code == 0, ended.err
    assert ended.err == ""
    created, uploaded, experiment, run = server.posts()
    assert created.path == "/apis/v2beta1/pipelines"
    assert created.body == {"name": "small", "display_name": "small"}
    assert uploaded.path == "/apis/v2beta1/pipelines/upload_version"
    assert uploaded.file == ("job.yaml", job.read_bytes())
    assert uploaded.query["pipelineid"] == "id-1"
    assert experiment.body["display_name"] == "nightly"
    assert run.path == "/apis/v2beta1/runs"
    assert run.body == {
        "display_name": "weekly",
        "experiment_id": "id-3",
        "pipeline_version_reference": {"pipeline_id": "id-1", "pipeline_version_id": "v2"},
        "runtime_config": {
            "parameters": {"epochs": 7, "max_rmse": 1.0},
            "pipeline_root": "gs://bucket/root",
        },
        "service_account": "trainer",
    }
    assert ended.out == f"run weekly: {server.host}/#/runs/details/id-4\n"


def test_the_same_file_is_uploaded_once_and_another_is_a_new_version(
    server: Kfp, job: Path, movierec: Movierec
) -> None:
    arguments = (str(job), "--host", server.host, "--send")
    assert [movierec(*arguments).code for _ in range(2)] == [0, 0]
    assert len(server.posts("/upload_version")) == 1
    first, second = server.posts("/runs")
    versions = [run.body["pipeline_version_reference"] for run in (first, second)]
    assert versions[0] == versions[1]
    assert first.body["experiment_id"] == second.body["experiment_id"]
    job.write_text(job.read_text("utf-8") + "\n", encoding="utf-8")
    assert movierec(*arguments).code == 0
    one, another = server.posts("/upload_version")
    assert one.query["name"] != another.query["name"]
    assert one.query["pipelineid"] == another.query["pipelineid"]
    assert len(server.posts("/pipelines")) == 1
    assert len(server.posts("/experiments")) == 1


def test_a_namespace_is_that_of_everything(server: Kfp, job: Path, movierec: Movierec) -> None:
    arguments = (str(job), "--host", server.host, "--namespace", "team-a", "--send")
    assert [movierec(*arguments).code for _ in range(2)] == [0, 0]
    created, _, experiment, *_ = server.posts()
    assert created.body["namespace"] == experiment.body["namespace"] == "team-a"
    assert len(server.posts("/pipelines")) == len(server.posts("/experiments")) == 1


def test_a_schedule_is_a_recurring_run(server: Kfp, job: Path, movierec: Movierec) -> None:
    ended = movierec(
        *(str(job), "--host", server.host, "--send", "--cron", "30 3 * * MON-FRI"),
        *("--max-concurrent", "2", "--pipeline-name", "ratings"),
        *("--parameter", "pipeline_root=gs://bucket/other"),
    )
    assert ended.code == 0, ended.err
    (recurring,) = server.posts("/recurringruns")
    assert recurring.body == {
        "display_name": "ratings",
        "experiment_id": "id-3",
        "pipeline_version_reference": {"pipeline_id": "id-1", "pipeline_version_id": "v2"},
        "runtime_config": {
            "parameters": {"pipeline_root": "gs://bucket/other"},
            "pipeline_root": "gs://bucket/other",
        },
        "trigger": {"cron_schedule": {"cron": "0 30 3 * * MON-FRI"}},
        "max_concurrency": 2,
        "mode": "ENABLE",
        "no_catchup": True,
    }
    assert ended.out == f"schedule ratings: {server.host}/#/recurringrun/details/id-4\n"


def test_without_the_cache_the_run_brings_the_pipeline(
    server: Kfp, job: Path, movierec: Movierec
) -> None:
    assert movierec(str(job), "--host", server.host, "--send", "--no-cache").code == 0
    _, run = server.posts()
    assert "pipeline_version_reference" not in run.body
    sent = json_format.ParseDict(
        run.body["pipeline_spec"]["pipeline_spec"], pipeline_spec_pb2.PipelineSpec()
    )
    expected = json_format.ParseDict(small().document(), pipeline_spec_pb2.PipelineSpec())
    expected.root.dag.tasks["first"].caching_options.enable_cache = False
    expected.root.dag.tasks["second"].caching_options.enable_cache = False
    assert sent == expected
    assert run.body["pipeline_spec"]["platform_spec"] == PLATFORMS


@pytest.mark.parametrize("root", ["gs://bucket/root", "gs://other/root"])
@pytest.mark.parametrize(
    "how", [[], ["--no-cache"], ["--cron", "0 3 * * 1"], ["--cron", "0 3 * * 1", "--no-cache"]]
)
def test_the_root_is_always_shown_and_sent(
    how: list[str], root: str, server: Kfp, movierec: Movierec, tmp_path: Path
) -> None:
    job = Job(KFP, pipeline_root="gs://bucket/root", push="gs://bucket/root/serving").add("first")
    path = str(job.write(tmp_path))
    moved = {} if root == "gs://bucket/root" else {"pipeline_root": root, "push": f"{root}/serving"}
    given = ["--parameter", f"pipeline_root={root}"] if moved else []
    shown = movierec(path, "--host", server.host, *how, *given)
    assert movierec(path, "--host", server.host, *how, *given, "--send").code == 0
    expected = {"parameters": moved, "pipeline_root": root}
    assert yaml.safe_load(shown.out)["calls"][-1]["body"]["runtime_config"] == expected
    assert server.posts()[-1].body["runtime_config"] == expected


@pytest.mark.parametrize("tag", ["1.8.22", "2.0.0-rc.1", "2.0.5", "2.2.0"])
def test_a_server_on_which_steps_fail_is_sent_nothing(
    tag: str, server: Kfp, job: Path, movierec: Movierec
) -> None:
    server.tag = tag
    ended = movierec(str(job), "--host", server.host, "--send")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(
        f"movierec: --host {server.host}: Kubeflow Pipelines {tag}; expected 2.3"
    )
    assert server.posts() == []


@pytest.mark.parametrize("tag", ["2.3.0", "2.10.0", "3.0.0", "unknown", "2.4", "", None])
def test_a_newer_server_and_one_without_a_release_are_sent_to(
    tag: str | None, server: Kfp, job: Path, movierec: Movierec
) -> None:
    server.tag = tag
    assert movierec(str(job), "--host", server.host, "--send").code == 0
    assert len(server.posts("/runs")) == 1


@pytest.mark.parametrize(
    "more",
    [
        ["--parameter", "epochs=9", "--run-name", "r", "--namespace", "a"],
        ["--cron", "0 3 * * 1", "--service-account", "trainer"],
        ["--no-cache", "--run-name", "r"],
    ],
)
def test_a_dry_run_shows_what_is_sent(
    more: list[str], server: Kfp, job: Path, movierec: Movierec
) -> None:
    shown = movierec(str(job), "--host", server.host, *more)
    assert shown.code == 0
    assert shown.err.startswith("movierec: nothing was sent")
    assert server.received == []
    assert movierec(str(job), "--host", server.host, *more, "--send").code == 0
    calls = yaml.safe_load(shown.out)["calls"]
    received = [r for r in server.received if not r.path.endswith("/healthz")]
    ids = {"<pipeline_id>": "id-1", "<pipeline_version_id>": "v2", "<experiment_id>": "id-3"}
    if "--no-cache" in more:
        ids = {"<experiment_id>": "id-1"}
    assert [(c["method"], filled(c["path"], ids)) for c in calls] == [
        (r.method, r.path) for r in received
    ]
    for call, request in zip(calls, received, strict=True):
        given = {k: v for k, v in request.query.items() if k != "page_size" and v}
        assert parsed(filled(call.get("query", {}), ids)) == parsed(given)
        body = {k: v for k, v in (request.body or {}).items() if v != ""}
        assert plain(filled(call.get("body", {}), ids)) == plain(body)
        assert call.get("file") == (str(job) if request.file else None)


def filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(entry, ids) for key, entry in value.items()}
    if isinstance(value, str):
        return functools.reduce(lambda text, i: text.replace(i, ids[i]), ids, value)
    return value


def parsed(query: dict[str, str]) -> dict[str, Any]:
    return {k: predicate_of(v) if k == "filter" else v for k, v in query.items()}


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """The body, with the specification as protos write it: they leave out what is empty."""
    documents = body.get("pipeline_spec")
    if documents is None:
        return body
    spec = json_format.ParseDict(documents["pipeline_spec"], pipeline_spec_pb2.PipelineSpec())
    return body | {"pipeline_spec": {**documents, "pipeline_spec": json_format.MessageToDict(spec)}}


def look(state: str, **tasks: str | tuple[str, str]) -> dict[str, Any]:
    """A run of the published API."""
    details = []
    for name, told in {"root-driver": "SUCCEEDED", **tasks}.items():
        task_state, error = told if isinstance(told, tuple) else (told, "")
        failure = {"error": {"code": 2, "message": error}} if error else {}
        details.append({"display_name": name, "state": task_state, **failure})
    run = {"run_id": "id-4", "state": state, "run_details": {"task_details": details}}
    check(run, "V2beta1Run")
    return run


def test_a_run_is_followed_until_it_succeeds(server: Kfp, job: Path, movierec: Movierec) -> None:
    server.looks = [
        {"run_id": "id-4"},
        look("RUNNING", first="RUNNING"),
        503,
        look("RUNNING", first="RUNNING"),
        look("RUNNING", first="SUCCEEDED", second="RUNNING"),
        look("SUCCEEDED", first="SUCCEEDED", second="SUCCEEDED"),
    ]
    ended = movierec(str(job), "--host", server.host, "--send", "--wait", "--run-name", "weekly")
    assert ended.code == 0, ended.err
    assert [tuple(line.split()) for line in ended.err.splitlines()] == [
        ("(run)", "PENDING"),
        ("first", "RUNNING"),
        ("(run)", "RUNNING"),
        ("first", "SUCCEEDED"),
        ("second", "RUNNING"),
        ("second", "SUCCEEDED"),
        ("(run)", "SUCCEEDED"),
    ]
    assert ended.out.splitlines()[-1] == "weekly succeeded"
    assert server.looks == []


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (
            look("FAILED", first=("FAILED", "no\nratings here"), second="SKIPPED"),
            "weekly failed in first: no ratings here",
        ),
        (
            {"state": "FAILED", "error": {"code": 3, "message": "no quota"}},
            "weekly failed: no quota",
        ),
        (look("CANCELED", first="CANCELED"), "weekly canceled"),
    ],
)
def test_a_run_that_does_not_succeed_is_one_line_and_exit_code_1(
    last: dict[str, Any], message: str, server: Kfp, job: Path, movierec: Movierec
) -> None:
    server.looks = [last]
    ended = movierec(str(job), "--host", server.host, "--send", "--wait", "--run-name", "weekly")
    assert ended.code == 1
    said = [line for line in ended.err.splitlines() if line.startswith("movierec: ")]
    assert said == [f"movierec: {message}; {server.host}/#/runs/details/id-4"]


@pytest.mark.parametrize(("status", "looks"), [(503, 6), (404, 1)])
def test_a_run_that_cannot_be_looked_at_goes_on(
    status: int, looks: int, server: Kfp, job: Path, movierec: Movierec
) -> None:
    server.looks = [status] * looks
    ended = movierec(str(job), "--host", server.host, "--send", "--wait")
    assert ended.code == 1
    assert server.looks == []
    (line,) = ended.err.splitlines()
    assert line.startswith(f"movierec: --host {server.host}: {status}: later")
    assert line.endswith(f"the run goes on: {server.host}/#/runs/details/id-4")


def test_ctrl_c_ends_the_watching_alone(
    server: Kfp, job: Path, movierec: Movierec, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.looks = [look("RUNNING")]
    monkeypatch.setattr(run_watcher.time, "sleep", interrupted)
    ended = movierec(str(job), "--host", server.host, "--send", "--wait")
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == (
        f"movierec: not watched any more; the run goes on: {server.host}/#/runs/details/id-4"
    )
    assert not any(request.path.endswith(":terminate") for request in server.received)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/healthz", 401, ": 401: not allowed: no\n token"),
        ("/pipelines", 403, ": 403: not allowed: "),
        ("/healthz", 404, ": 404: "),
        ("/experiments", 400, ": 400: "),
        ("/runs", 500, ": 500: "),
    ],
)
def test_a_refusal_is_one_line(
    path: str, status: int, message: str, server: Kfp, job: Path, movierec: Movierec
) -> None:
    server.failing = {path: (status, "no\n token")}
    ended = movierec(str(job), "--host", server.host, "--send")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(f"movierec: --host {server.host}{' '.join(message.split())}")
    assert "no token" in line
    assert ended.out == ""


def test_a_page_to_sign_in_is_no_answer(
    server: Kfp, job: Path, movierec: Movierec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "answer", lambda _: (200, "<html>Sign in</html>"))
    ended = movierec(str(job), "--host", server.host, "--send")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(f"movierec: --host {server.host}: ")


def test_several_experiments_of_one_name_are_one_line(
    server: Kfp, job: Path, movierec: Movierec
) -> None:
    server.experiments = [{"experiment_id": i, "display_name": "small"} for i in ("a", "b")]
    ended = movierec(str(job), "--host", server.host, "--send")
    assert ended.code == 1
    assert ended.err.startswith("movierec: --experiment small: Multiple experiments")
    assert server.posts("/runs") == []


def test_the_pods_own_token_is_the_credential(
    server: Kfp,
    job: Path,
    movierec: Movierec,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert movierec(str(job), "--host", server.host, "--send").code == 0
    assert {request.authorization for request in server.received} == {None}
    server.received.clear()
    (tmp_path / "token").write_text("of-the-pod", encoding="utf-8")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    ended = movierec(str(job), "--host", server.host, "--send")
    assert {request.authorization for request in server.received} == {"Bearer of-the-pod"}
    assert "of-the-pod" not in ended.out + ended.err


def test_the_pipeline_itself_is_uploaded_as_it_was_compiled(
    server: Kfp, movierec: Movierec, tmp_path: Path
) -> None:
    settings = load_config(overrides=["training.accelerator=NVIDIA_TESLA_T4"])
    options = CompileOptions(Target.KFP, "registry.example/movierec:1.2", "gs://bucket/root")
    text = compiler.compile_pipeline(settings, options).text()
    assert len(list(yaml.safe_load_all(text))) == 2
    path = compiler.write(text, tmp_path / "pipeline.yaml")
    ended = movierec(str(path), "--host", server.host, "--send", "--parameter", "epochs=3")
    assert ended.code == 0, ended.err
    (uploaded,) = server.posts("/upload_version")
    assert uploaded.file == ("pipeline.yaml", text.encode())
    (run,) = server.posts("/runs")
    assert run.body["runtime_config"] == {
        "parameters": {"epochs": 3},
        "pipeline_root": "gs://bucket/root",
    }
