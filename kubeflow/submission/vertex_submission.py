"""Sends a request to Vertex AI with Google's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from google.api_core import exceptions as api_exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform.constants import base as constants

from kubeflow.submission.quiet import one_line, quietly
from kubeflow.submission.vertex_request import VertexRequest
from kubeflow.submission.watching import Sent, Snapshot, State, UnreachableError
from pipeline.config.errors import UserError

_TIMEOUT_SECONDS: Final = 60.0
_STATE_PREFIX: Final = "PIPELINE_STATE_"
# Of the service, or of the way to it.
_LATER: Final = (
    api_exceptions.ServerError,
    api_exceptions.TooManyRequests,
    api_exceptions.RetryError,
    auth_exceptions.TransportError,
)


def send(request: VertexRequest) -> Sent:
    """Starts the run or the schedule.

    Raises:
        UserError: the platform is not reached or refuses something.
    """
    if request.region not in constants.SUPPORTED_REGIONS:
        raise UserError(
            f"--region {request.region}: Vertex AI is not there; expected one of "
            f"{', '.join(sorted(constants.SUPPORTED_REGIONS))}"
        )
    with _explained(request):
        job = _job(request)
        if request.request.schedule is None:
            return _run(job, request)
        return _schedule(job, request)


def _job(request: VertexRequest) -> Any:
    asked = request.request
    # Without it the client looks for a project of its own, and asks another service for its name.
    aiplatform.init(project=request.project, location=request.region)
    return aiplatform.PipelineJob(
        display_name=request.name,
        template_path=str(asked.compiled.path),
        job_id=request.job_id,
        # The client itself would take the specification's before the job's.
        pipeline_root=request.pipeline_root,
        parameter_values=dict(asked.parameters),
        enable_caching=None if asked.use_cache else False,
        labels=dict(request.labels) or None,
        project=request.project,
        location=request.region,
    )


def _run(job: Any, request: VertexRequest) -> Sent:
    job.submit(
        service_account=request.service_account,
        network=request.network,
        create_request_timeout=_TIMEOUT_SECONDS,
    )
    url = request.url("runs", job.name)
    return Sent("run", request.name, url, partial(_look, job, request))


def _schedule(job: Any, request: VertexRequest) -> Sent:
    asked = request.request.schedule
    assert asked is not None
    schedule = job.create_schedule(
        cron=asked.cron,
        display_name=request.name,
        max_concurrent_run_count=asked.max_concurrent,
        service_account=request.service_account,
        network=request.network,
        create_request_timeout=_TIMEOUT_SECONDS,
    )
    return Sent("schedule", request.name, request.url("schedules", schedule.name), None)


def _look(job: Any, request: VertexRequest) -> Snapshot:
    """How the run is, with the tasks of the pipeline."""
    with _explained(request):
        state = job.state
    found = job.gca_resource
    tasks = {
        detail.task_name: State(detail.state.name, one_line(detail.error.message))
        for detail in found.job_detail.task_details
        if detail.task_name in request.request.compiled.job.tasks
    }
    name = state.name.removeprefix(_STATE_PREFIX)
    return Snapshot(State(name, one_line(found.error.message)), tasks)


@contextmanager
def _explained(request: VertexRequest) -> Iterator[None]:
    """Keeps the client quiet, and has its errors say on one line what can be done.

    Raises:
        UserError: in the place of the client's errors.
    """
    where = f"Vertex AI, {request.parent}"
    try:
        with quietly():
            yield
    except _LATER as error:
        raise UnreachableError(f"{where}: no answer: {one_line(error)}") from error
    except (api_exceptions.Unauthorized, api_exceptions.Forbidden) as error:
        raise UserError(
            f"{where}: not allowed: {one_line(error)}; the credentials are Google's application "
            f"default ones"
        ) from error
    except api_exceptions.NotFound as error:
        raise UserError(f"{where}: {one_line(error)}; are --project and --region right?") from error
    except api_exceptions.GoogleAPICallError as error:
        raise UserError(f"{where}: {one_line(error)}") from error
    except auth_exceptions.GoogleAuthError as error:
        raise UserError(
            f"{where}: no credentials: {one_line(error)}; `gcloud auth application-default login` "
            f"makes them"
        ) from error
