"""What Google's own client sends to Vertex AI, its channels ending at a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google.auth
import grpc
import pytest
from google.auth import credentials as auth_credentials
from google.auth import exceptions as auth_exceptions
from google.cloud.aiplatform import initializer
from google.cloud.aiplatform.utils import gcs_utils
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1.services.pipeline_service.transports import (
    PipelineServiceGrpcTransport,
)
from google.cloud.aiplatform_v1.services.schedule_service.transports import (
    ScheduleServiceGrpcTransport,
)
from google.protobuf import json_format
from google.rpc import status_pb2

from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.submission import run_watcher
from kubeflow.targets import Target
from pipeline.config.tree import load_config
from tests.kubeflow.command_line import Movierec, caller, interrupted
from tests.kubeflow.compiled_jobs import VERTEX, Job

PARENT = "projects/my-project/locations/europe-west1"
CONSOLE = "https://console.cloud.google.com/vertex-ai/locations/europe-west1/pipelines"
USUAL = ("--project", "my-project", "--region", "europe-west1")
NETWORK = "projects/12345/global/networks/shared-net"
ACCOUNT = "trainer@my-project.iam.gserviceaccount.com"
State = types.PipelineState
TaskState = types.PipelineTaskDetail.State


@dataclass
class Vertex:
    """What the server is sent, and what it is to answer.

    Attributes:
        jobs: requests for jobs.
        schedules: requests for schedules.
        looks: what each next look at a job shows.
        refusal: of whatever is to be made.
        buckets: that the client looked for before.
        hosts: that the client would have connected to.
    """

    jobs: list[Any] = field(default_factory=list)
    schedules: list[Any] = field(default_factory=list)
    looks: list[Any] = field(default_factory=list)
    refusal: tuple[grpc.StatusCode, str] | None = None
    buckets: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)

    def create_job(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._refuse(context)
        self.jobs.append(request)
        name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
        return types.PipelineJob(name=name, state=State.PIPELINE_STATE_PENDING)

    def get_job(self, request: Any, _: grpc.ServicerContext) -> Any:
        look = self.looks.pop(0)
        look.name = request.name
        return look

    def create_schedule(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._refuse(context)
        self.schedules.append(request)
        return types.Schedule(name=f"{request.parent}/schedules/77")

    def _refuse(self, context: grpc.ServicerContext) -> None:
        if self.refusal:
            context.abort(*self.refusal)


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vertex]:
    """A server, and the client's transports replaced by channels to it."""
    found = Vertex()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [
            _handlers(
                "PipelineService",
                CreatePipelineJob=(
                    found.create_job,
                    types.CreatePipelineJobRequest,
                    types.PipelineJob,
                ),
                GetPipelineJob=(found.get_job, types.GetPipelineJobRequest, types.PipelineJob),
            ),
            _handlers(
                "ScheduleService",
                CreateSchedule=(
                    found.create_schedule,
                    types.CreateScheduleRequest,
                    types.Schedule,
                ),
            ),
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def channel(host: str, **_: Any) -> grpc.Channel:
        found.hosts.append(host)
        return grpc.insecure_channel(f"127.0.0.1:{port}")

    for transport in (PipelineServiceGrpcTransport, ScheduleServiceGrpcTransport):
        monkeypatch.setattr(transport, "create_channel", channel)
    monkeypatch.setattr(
        gcs_utils,
        "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist",
        lambda **given: found.buckets.append(given["output_artifacts_gcs_dir"]),
    )
    yield found
    server.stop(None).wait()


def _handlers(service: str, **methods: Any) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        f"google.cloud.aiplatform.v1.{service}",
        {
            name: grpc.unary_unary_rpc_method_handler(
                function,
                request_deserializer=request.deserialize,
                response_serializer=response.serialize,
            )
            for name, (function, request, response) in methods.items()
        },
    )


@pytest.fixture
def movierec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Movierec:
    """The command line with credentials of nobody, found where Google's client looks for them."""
    for name in ("_project", "_location", "_credentials"):
        monkeypatch.setattr(initializer.global_config, name, None)
    nobody = auth_credentials.AnonymousCredentials()
    monkeypatch.setattr(google.auth, "default", lambda *_, **__: (nobody, "another-project"))
    monkeypatch.setattr(run_watcher, "POLL_SECONDS", 0.0)
    call = caller(monkeypatch, capsys)
    return lambda *arguments: call("submit", *arguments)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    job = Job(VERTEX, epochs=5, max_rmse=0.9, data="gs://d/here", pipeline_root="gs://bucket/root")
    job.add("first", parameters={"epochs": "epochs"}, cachingOptions={"enableCache": True})
    return job.add("second", dependentTasks=["first"]).write(tmp_path)


def body(request: Any) -> dict[str, Any]:
    """A message of the API as its REST form has it."""
    return dict(json_format.MessageToDict(request._pb))


def test_a_job_is_the_compiled_file_and_the_parameters(
    vertex: Vertex, job: Path, movierec: Movierec
) -> None:
    ended = movierec(
        *(str(job), "--target", "vertex", *USUAL, "--send", "--run-name", "Weekly run"),
        *("--parameter", "epochs=7", "--parameter", "max_rmse=1", "--parameter", "data=gs://d/2"),
        *("--label", "team=ratings", "--label", "cost=12", "--network", NETWORK),
        *("--service-account", ACCOUNT),
    )
    assert ended.code == 0, ended.err
    assert ended.err == ""
    (request,) = vertex.jobs
    assert request.parent == PARENT
    expected = json.loads(job.read_text("utf-8"))
    expected["runtimeConfig"]["parameters"] |= {
        "epochs": {"intValue": "7"},
        "max_rmse": {"doubleValue": 1.0},
        "data": {"stringValue": "gs://d/2"},
    }
    assert body(request.pipeline_job) == {
        **expected,
        "displayName": "Weekly run",
        "labels": {"team": "ratings", "cost": "12"},
        "network": NETWORK,
        "serviceAccount": ACCOUNT,
    }
    assert vertex.hosts == ["europe-west1-aiplatform.googleapis.com:443"]
    job_id = request.pipeline_job_id
    assert job_id.startswith("small-")
    assert ended.out == f"run Weekly run: {CONSOLE}/runs/{job_id}?project=my-project\n"


def test_another_pipeline_root_is_where_the_job_writes(
    vertex: Vertex, job: Path, movierec: Movierec
) -> None:
    ended = movierec(str(job), *USUAL, "--send", "--parameter", "pipeline_root=gs://other/root/")
    assert ended.code == 0, ended.err
    runtime = body(vertex.jobs[0].pipeline_job)["runtimeConfig"]
    assert runtime["gcsOutputDirectory"] == "gs://other/root"
    assert runtime["parameters"]["pipeline_root"] == {"stringValue": "gs://other/root"}
    assert vertex.buckets == ["gs://other/root"]


def test_a_schedule_makes_the_same_job(vertex: Vertex, job: Path, movierec: Movierec) -> None:
    ended = movierec(
        *(str(job), *USUAL, "--send", "--parameter", "epochs=7", "--label", "team=ratings"),
        *("--cron", "TZ=Europe/Berlin 30 3 * * 1", "--max-concurrent", "3"),
        *("--service-account", ACCOUNT, "--network", NETWORK),
    )
    assert ended.code == 0, ended.err
    (request,) = vertex.schedules
    compiled = json.loads(job.read_text("utf-8"))
    compiled["runtimeConfig"]["parameters"]["epochs"] = {"intValue": "7"}
    assert body(request) == {
        "parent": PARENT,
        "schedule": {
            "displayName": "small",
            "cron": "TZ=Europe/Berlin 30 3 * * 1",
            "maxConcurrentRunCount": "3",
            "createPipelineJobRequest": {
                "parent": PARENT,
                "pipelineJob": {
                    **compiled,
                    "labels": {"team": "ratings"},
                    "network": NETWORK,
                    "serviceAccount": ACCOUNT,
                },
            },
        },
    }
    assert ended.out == f"schedule small: {CONSOLE}/schedules/77?project=my-project\n"
    assert vertex.jobs == []


@pytest.mark.parametrize(
    "more",
    [
        ["--parameter", "epochs=9", "--no-cache", "--label", "a=b", "--service-account", ACCOUNT],
        ["--cron", "0 3 * * 1", "--network", NETWORK, "--no-cache"],
    ],
)
def test_a_dry_run_shows_what_is_sent(
    more: list[str], vertex: Vertex, job: Path, movierec: Movierec
) -> None:
    shown = movierec(str(job), *USUAL, *more)
    assert shown.code == 0
    assert shown.err.startswith("movierec: nothing was sent")
    assert vertex.hosts == []
    *_, call = json.loads(shown.out)["calls"]
    assert movierec(str(job), *USUAL, *more, "--send").code == 0
    host = f"https://europe-west1-aiplatform.googleapis.com/v1/{PARENT}"
    if vertex.jobs:
        assert call["path"] == f"{host}/pipelineJobs"
        assert call["body"] == body(vertex.jobs[0].pipeline_job)
        tasks = call["body"]["pipelineSpec"]["root"]["dag"]["tasks"]
        assert [t["cachingOptions"] for t in tasks.values()] == [{"enableCache": False}] * 2
    else:
        assert call["path"] == f"{host}/schedules"
        assert call["body"] == body(vertex.schedules[0].schedule)


def look(state: State, error: str = "", **tasks: TaskState | tuple[TaskState, str]) -> Any:
    """A job; the first of its tasks stands for the job itself."""
    details = []
    for name, told in {"small-20260101000000": TaskState.RUNNING, **tasks}.items():
        task_state, task_error = told if isinstance(told, tuple) else (told, "")
        failure = status_pb2.Status(message=task_error)
        details.append(types.PipelineTaskDetail(task_name=name, state=task_state, error=failure))
    return types.PipelineJob(
        state=state,
        error=status_pb2.Status(message=error),
        job_detail=types.PipelineJobDetail(task_details=details),
    )


def test_a_run_is_followed_until_it_succeeds(vertex: Vertex, job: Path, movierec: Movierec) -> None:
    running, succeeded = TaskState.RUNNING, TaskState.SUCCEEDED
    vertex.looks = [
        look(State.PIPELINE_STATE_PENDING),
        look(State.PIPELINE_STATE_RUNNING, first=running),
        look(State.PIPELINE_STATE_RUNNING, first=running),
        look(State.PIPELINE_STATE_RUNNING, first=succeeded, second=running),
        look(State.PIPELINE_STATE_SUCCEEDED, first=succeeded, second=succeeded),
    ]
    ended = movierec(str(job), *USUAL, "--send", "--wait")
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
    assert ended.out.splitlines()[-1] == "small succeeded"
    assert vertex.looks == []


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (
            look(
                State.PIPELINE_STATE_FAILED,
                "The DAG failed",
                first=TaskState.SUCCEEDED,
                second=(TaskState.FAILED, "no\nratings here"),
            ),
            "small failed in second: no ratings here",
        ),
        (look(State.PIPELINE_STATE_FAILED, "no quota"), "small failed: no quota"),
        (look(State.PIPELINE_STATE_CANCELLED), "small cancelled"),
    ],
)
def test_a_run_that_does_not_succeed_is_one_line_and_exit_code_1(
    last: Any, message: str, vertex: Vertex, job: Path, movierec: Movierec
) -> None:
    vertex.looks = [last]
    ended = movierec(str(job), *USUAL, "--send", "--wait")
    assert ended.code == 1
    (said,) = [line for line in ended.err.splitlines() if line.startswith("movierec: ")]
    url = f"{CONSOLE}/runs/{vertex.jobs[0].pipeline_job_id}?project=my-project"
    assert said == f"movierec: {message}; {url}"


def test_ctrl_c_ends_the_watching_alone(
    vertex: Vertex, job: Path, movierec: Movierec, monkeypatch: pytest.MonkeyPatch
) -> None:
    vertex.looks = [look(State.PIPELINE_STATE_RUNNING)]
    monkeypatch.setattr(run_watcher.time, "sleep", interrupted)
    ended = movierec(str(job), *USUAL, "--send", "--wait")
    assert ended.code == 130
    assert "movierec: not watched any more; the run goes on: https://" in ended.err


@pytest.mark.parametrize("cron", [[], ["--cron", "0 3 * * 1"]])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "not allowed: 403 because\nof this"),
        (grpc.StatusCode.UNAUTHENTICATED, "not allowed: 401 because\nof this"),
        (grpc.StatusCode.NOT_FOUND, "404 because of this"),
        (grpc.StatusCode.INVALID_ARGUMENT, "400 because of this"),
        (grpc.StatusCode.UNAVAILABLE, "no answer: 503 because of this"),
    ],
)
def test_a_refusal_is_one_line(
    code: grpc.StatusCode,
    message: str,
    cron: list[str],
    vertex: Vertex,
    job: Path,
    movierec: Movierec,
) -> None:
    vertex.refusal = (code, "because\nof this")
    ended = movierec(str(job), *USUAL, "--send", *cron)
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith(f"movierec: Vertex AI, {PARENT}: {' '.join(message.split())}")
    assert ended.out == ""


def test_a_region_without_the_platform_is_one_line(
    vertex: Vertex, job: Path, movierec: Movierec
) -> None:
    ended = movierec(str(job), "--project", "my-project", "--region", "atlantis-west9", "--send")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith("movierec: --region atlantis-west9: ")
    assert vertex.hosts == []


def test_without_credentials_it_is_one_line(
    vertex: Vertex, job: Path, movierec: Movierec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise auth_exceptions.DefaultCredentialsError("none were found")

    monkeypatch.setattr(google.auth, "default", none)
    ended = movierec(str(job), *USUAL, "--send")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert "none were found" in line
    assert "gcloud auth application-default login" in line
    assert vertex.jobs == []


@pytest.mark.parametrize(
    "overrides",
    [[], ["training.workers=2", "vertex.project=my-project", "vertex.region=europe-west1"]],
)
def test_the_pipeline_itself_is_sent_as_it_was_compiled(
    overrides: list[str], vertex: Vertex, movierec: Movierec, tmp_path: Path
) -> None:
    options = CompileOptions(Target.VERTEX, "registry.example/movierec:1.2", "gs://bucket/root")
    text = compiler.compile_pipeline(load_config(overrides=overrides), options).text()
    path = compiler.write(text, tmp_path / "pipeline.json")
    ended = movierec(str(path), *USUAL, "--send", "--parameter", "epochs=3")
    assert ended.code == 0, ended.err
    assert ended.err == ""
    expected = json.loads(text)
    expected["runtimeConfig"]["parameters"]["epochs"] = {"intValue": "3"}
    assert body(vertex.jobs[0].pipeline_job) == expected
