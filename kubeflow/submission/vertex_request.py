"""What Vertex AI is sent. Its client is not imported here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import StringConstraints

from kubeflow import parameters
from kubeflow.local_execution import values
from kubeflow.local_execution.job import Constant, Schema, Task
from kubeflow.submission.request import Call, Request, check_given, check_kind
from kubeflow.targets import Target, name_problem
from pipeline.config.cluster import GoogleAccount, ProjectId, Region
from pipeline.config.errors import UserError

MOST_LABELS: Final = 64
LONGEST_NAME: Final = 128

_NETWORK = Annotated[
    str, StringConstraints(pattern=r"^projects/[^/\s]+/global/networks/[a-z]([-a-z0-9]*[a-z0-9])?$")
]
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_GOOGLE_SCHEME = "gs://"

# Where the Trainer's step is told of a job for several workers, by TFX's names.
_SETTINGS: Final = "custom_config"
_JOB: Final = "ai_platform_training_args"
_JOB_REGION: Final = "ai_platform_vertex_region"


@dataclass(frozen=True)
class VertexRequest:
    """A request to Vertex AI.

    Attributes:
        request: what is to run.
        project: id of the Google Cloud project.
        region: where it runs.
        service_account: e-mail address of the account whose rights the tasks have; None for the
            platform's own.
        network: full name of the network that the tasks are in; None for none.
        labels: of the job.
    """

    request: Request
    project: str
    region: str
    service_account: str | None = None
    network: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> str:
        """What the job belongs to."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def pipeline_root(self) -> str:
        """Where the steps write."""
        return self.request.pipeline_root or ""

    @property
    def job_id(self) -> str:
        """The job's own."""
        return self.request.unique_name

    @property
    def name(self) -> str:
        """What a person finds the run or the schedule by."""
        compiled = self.request.compiled
        return self.request.run_name or compiled.pipeline.get("displayName", compiled.job.name)

    def url(self, kind: str, name: str) -> str:
        """Where runs or schedules can be seen, by their id."""
        return (
            f"https://console.cloud.google.com/vertex-ai/locations/{self.region}/pipelines/"
            f"{kind}/{name}?project={self.project}"
        )

    def calls(self) -> list[Call]:
        """What is called, in this order, with the bodies that are sent."""
        job = {**_job(self), **_surroundings(self)}
        host = f"https://{self.region}-aiplatform.googleapis.com/v1/{self.parent}"
        if self.request.schedule is None:
            named = {"displayName": self.name, **job}
            start = Call("POST", f"{host}/pipelineJobs", {"pipelineJobId": self.job_id}, body=named)
            return [_bucket_call(self.pipeline_root), start]
        schedule = {
            "displayName": self.name,
            "cron": self.request.schedule.cron,
            "maxConcurrentRunCount": str(self.request.schedule.max_concurrent),
            "createPipelineJobRequest": {"parent": self.parent, "pipelineJob": job},
        }
        return [Call("POST", f"{host}/schedules", body=schedule)]


def checked(vertex: VertexRequest) -> VertexRequest:
    """The request.

    Raises:
        UserError: the platform would not take something of it.
    """
    target = Target.VERTEX
    check_given("--project", vertex.project, "the id of a Google Cloud project", target)
    check_given("--region", vertex.region, "where to run, as us-central1", target)
    check_kind("--project", vertex.project, ProjectId, "the id of a Google Cloud project")
    check_kind("--region", vertex.region, Region, "a region, as us-central1")
    if vertex.service_account is not None:
        check_kind("--service-account", vertex.service_account, GoogleAccount, "its e-mail address")
    if vertex.network is not None:
        expected = "projects/NUMBER/global/networks/NAME"
        check_kind("--network", vertex.network, _NETWORK, expected)
    _check_labels(vertex.labels)
    _check_workers(vertex)
    path = vertex.request.compiled.path
    if "runtimeConfig" not in vertex.request.compiled.pipeline:
        raise UserError(f"{path}: has no runtimeConfig; `movierec compile` writes one")
    if not vertex.pipeline_root.startswith(_GOOGLE_SCHEME):
        raise UserError(f"{path}: no pipeline root in a bucket; expected gs://BUCKET/PATH")
    if len(vertex.name) > LONGEST_NAME:
        raise UserError(f"--run-name: {len(vertex.name)} characters; expected {LONGEST_NAME}")
    name = vertex.request.compiled.job.name
    problem = name_problem(name, target)
    if problem is not None:
        raise UserError(f"{path}: a pipeline of the name {name}: {problem}")
    return vertex


def workers_place(task: Task) -> tuple[str, str] | None:
    """Project and region of the job that a step has train; None if it trains itself."""
    settings = task.parameters.get(_SETTINGS)
    text = str(settings.value) if isinstance(settings, Constant) else ""
    if _JOB not in text:
        return None
    # Some of the placeholders stand where JSON has a number.
    told = json.loads(parameters.filled_in(text, dict.fromkeys(parameters.used_inputs(text), "0")))
    return told[_JOB]["project"], told[_JOB_REGION]


def _check_workers(vertex: VertexRequest) -> None:
    """Whether several workers train where the run is: that is compiled in."""
    path = vertex.request.compiled.path
    for task in vertex.request.compiled.job.tasks.values():
        given = (vertex.project, vertex.region)
        for key, asked, compiled in zip(
            ("project", "region"), given, workers_place(task) or given, strict=True
        ):
            if asked != compiled:
                raise UserError(
                    f"--{key} {asked}: {path} has several workers train in {compiled}; expected "
                    f"--{key} {compiled}, or a file compiled with vertex.{key}={asked}"
                )


def _bucket_call(root: str) -> Call:
    """What Google's client looks for before it submits a job."""
    bucket = root.removeprefix(_GOOGLE_SCHEME).partition("/")[0]
    return Call(
        "GET",
        f"https://storage.googleapis.com/storage/v1/b/{bucket}",
        when="always; Google's client makes the bucket if there is none",
    )


def _job(vertex: VertexRequest) -> dict[str, Any]:
    """The compiled job with the given parameters."""
    compiled, request = vertex.request.compiled, vertex.request
    job = {key: deepcopy(compiled.pipeline[key]) for key in ("pipelineSpec", "runtimeConfig")}
    runtime = job["runtimeConfig"]
    runtime["gcsOutputDirectory"] = vertex.pipeline_root
    if compiled.job.schema is Schema.V2_0:
        given = {name: values.to_legacy(value) for name, value in request.parameters.items()}
        runtime["parameters"] = {**runtime.get("parameters", {}), **given}
    else:
        runtime["parameterValues"] = {**runtime.get("parameterValues", {}), **request.parameters}
    if not request.use_cache:
        _without_cache(job["pipelineSpec"])
    return job


def _without_cache(spec: dict[str, Any]) -> None:
    for task in spec["root"]["dag"]["tasks"].values():
        task["cachingOptions"] = {"enableCache": False}


def _surroundings(vertex: VertexRequest) -> dict[str, Any]:
    found = {
        "labels": dict(vertex.labels),
        "serviceAccount": vertex.service_account,
        "network": vertex.network,
    }
    return {key: value for key, value in found.items() if value}


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MOST_LABELS:
        raise UserError(f"--label: {len(labels)} of them; expected at most {MOST_LABELS}")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise UserError(
                f"--label {key}={value}: expected at most 63 lower-case letters, digits, _ and - "
                f"on each side, with a letter first"
            )
