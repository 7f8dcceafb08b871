"""The calls that submit a job to Vertex AI, made without its client."""

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
from kubeflow.submission.request import Call, Request, check_given, check_type
from kubeflow.targets import Target, name_problem
from pipeline.config.cluster import GoogleAccount, ProjectId, Region
from pipeline.config.errors import UserError

MOST_LABELS: Final = 64
LONGEST_NAME: Final = 128

_NETWORK = Annotated[
    str, StringConstraints(pattern=r"^projects/[^/\s]+/global/networks/[a-z]([-a-z0-9]*[a-z0-9])?$")
]
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_GOOGLE_SCHEME: Final = "gs://"

# TFX's names of the input and of the keys in it that describe a job for several workers.
_SETTINGS: Final = "custom_config"
_JOB: Final = "ai_platform_training_args"
_JOB_REGION: Final = "ai_platform_vertex_region"


@dataclass(frozen=True)
class VertexRequest:
    """A request to Vertex AI.

    Attributes:
        request: Settings of the run or schedule.
        project: Id of the Google Cloud project.
        region: Region of the run.
        service_account: E-mail address of the tasks' service account; None for the platform's
            default.
        network: Full name of the network that the tasks are peered with; None for none.
        labels: Labels of the job.
    """

    request: Request
    project: str
    region: str
    service_account: str | None = None
    network: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> str:
        """The resource that the job belongs to."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def pipeline_root(self) -> str:
        """The folder for everything that the steps write."""
        return self.request.pipeline_root or ""

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.request.unique_name

    @property
    def name(self) -> str:
        """The name of the run or the schedule."""
        compiled = self.request.compiled
        return self.request.run_name or compiled.pipeline.get("displayName", compiled.job.name)

    def url(self, kind: str, name: str) -> str:
        """Returns the address of the page of a run or a schedule.

        Args:
            kind: `runs` or `schedules`.
            name: Id of the run or the schedule.
        """
        return (
            f"https://console.cloud.google.com/vertex-ai/locations/{self.region}/pipelines/"
            f"{kind}/{name}?project={self.project}"
        )

    def calls(self) -> list[Call]:
        """Returns the calls in their order, with the bodies that they send."""
        job = {**_job(self), **_job_settings(self)}
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
    """Checks a request and returns it.

    Raises:
        UserError: The platform would refuse a part of it.
    """
    target = Target.VERTEX
    check_given("--project", vertex.project, "the id of a Google Cloud project", target)
    check_given("--region", vertex.region, "a region such as us-central1", target)
    check_type("--project", vertex.project, ProjectId, "the id of a Google Cloud project")
    check_type("--region", vertex.region, Region, "a region such as us-central1")
    if vertex.service_account is not None:
        check_type("--service-account", vertex.service_account, GoogleAccount, "an e-mail address")
    if vertex.network is not None:
        expected = "projects/NUMBER/global/networks/NAME"
        check_type("--network", vertex.network, _NETWORK, expected)
    _check_labels(vertex.labels)
    _check_workers(vertex)
    path = vertex.request.compiled.path
    if "runtimeConfig" not in vertex.request.compiled.pipeline:
        raise UserError(f"{path}: has no runtimeConfig; expected a file of `movierec compile`")
    if not vertex.pipeline_root.startswith(_GOOGLE_SCHEME):
        raise UserError(f"{path}: the pipeline root is in no bucket; expected gs://BUCKET/PATH")
    if len(vertex.name) > LONGEST_NAME:
        raise UserError(
            f"--run-name: {len(vertex.name)} characters; expected at most {LONGEST_NAME}"
        )
    name = vertex.request.compiled.job.name
    problem = name_problem(name, target)
    if problem is not None:
        raise UserError(f"{path}: pipeline name {name}: {problem}")
    return vertex


def workers_place(task: Task) -> tuple[str, str] | None:
    """Returns project and region of the CustomJob of a step; None if the step starts none."""
    source = task.parameters.get(_SETTINGS)
    text = str(source.value) if isinstance(source, Constant) else ""
    if _JOB not in text:
        return None
    # Some placeholders stand in the place of a number.
    settings = json.loads(
        parameters.filled_in(text, dict.fromkeys(parameters.used_inputs(text), "0"))
    )
    return settings[_JOB]["project"], settings[_JOB_REGION]


def _check_workers(vertex: VertexRequest) -> None:
    """Checks that the CustomJob of several workers, which is compiled in, is where the run is."""
    path = vertex.request.compiled.path
    for task in vertex.request.compiled.job.tasks.values():
        given = (vertex.project, vertex.region)
        for key, option, compiled in zip(
            ("project", "region"), given, workers_place(task) or given, strict=True
        ):
            if option != compiled:
                raise UserError(
                    f"--{key} {option}: {path} has its workers train in {compiled}; expected "
                    f"--{key} {compiled}, or a file compiled with vertex.{key}={option}"
                )


def _bucket_call(root: str) -> Call:
    """Returns the call by which Google's client checks the bucket before it submits a job."""
    bucket = root.removeprefix(_GOOGLE_SCHEME).partition("/")[0]
    return Call(
        "GET",
        f"https://storage.googleapis.com/storage/v1/b/{bucket}",
        when="always; Google's client creates a missing bucket",
    )


def _job(vertex: VertexRequest) -> dict[str, Any]:
    """Returns the compiled job with the changed parameters."""
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


def _job_settings(vertex: VertexRequest) -> dict[str, Any]:
    settings = {
        "labels": dict(vertex.labels),
        "serviceAccount": vertex.service_account,
        "network": vertex.network,
    }
    return {key: value for key, value in settings.items() if value}


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MOST_LABELS:
        raise UserError(f"--label: {len(labels)} labels; expected at most {MOST_LABELS}")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise UserError(
                f"--label {key}={value}: expected at most 63 lower-case letters, digits, _ and - "
                f"on each side, with a letter first"
            )
