"""Submits a job to Vertex AI with Google's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from google.api_core import exceptions as api_exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform.constants import base as constants

from kubeflow.submission.client_output import one_line, silenced
from kubeflow.submission.run_watcher import Sent, Snapshot, State, UnreachableError
from kubeflow.submission.vertex_request import VertexRequest
from pipeline.config.errors import UserError

_TIMEOUT_SECONDS: Final = 60.0
_STATE_PREFIX: Final = "PIPELINE_STATE_"
# Errors that another attempt may not meet.
_TEMPORARY: Final = (
    api_exceptions.ServerError,
    api_exceptions.TooManyRequests,
    api_exceptions.RetryError,
    auth_exceptions.TransportError,
)


def send(request: VertexRequest) -> Sent:
    """Starts the run or the schedule.

    Raises:
        UserError: The platform cannot be reached or refuses the request.
    """
    if request.region not in constants.SUPPORTED_REGIONS:
        raise UserError(
            f"--region {request.region}: Vertex AI is not available there; expected one of "
            f"{', '.join(sorted(constants.SUPPORTED_REGIONS))}"
        )
    with _explained(request):
        job = _job(request)
        if request.request.schedule is None:
            return _run(job, request)
        return _schedule(job, request)


def _job(request: VertexRequest) -> Any:
    settings = request.request
    # Otherwise the client looks for a default project and asks another service for its name.
    aiplatform.init(project=request.project, location=request.region)
    return aiplatform.PipelineJob(
        display_name=request.name,
        template_path=str(settings.compiled.path),
        job_id=request.job_id,
        # The client would prefer the root of the spec to that of the job.
        pipeline_root=request.pipeline_root,
        parameter_values=dict(settings.parameters),
        enable_caching=None if settings.use_cache else False,
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
    return Sent("run", request.name, url, partial(_poll, job, request))


def _schedule(job: Any, request: VertexRequest) -> Sent:
    times = request.request.schedule
    assert times is not None
    schedule = job.create_schedule(
        cron=times.cron,
        display_name=request.name,
        max_concurrent_run_count=times.max_concurrent,
        service_account=request.service_account,
        network=request.network,
        create_request_timeout=_TIMEOUT_SECONDS,
    )
    return Sent("schedule", request.name, request.url("schedules", schedule.name), None)


def _poll(job: Any, request: VertexRequest) -> Snapshot:
    """Returns the states of the run and of the pipeline's tasks."""
    with _explained(request):
        state = job.state
    resource = job.gca_resource
    tasks = {
        detail.task_name: State(detail.state.name, one_line(detail.error.message))
        for detail in resource.job_detail.task_details
        if detail.task_name in request.request.compiled.job.tasks
    }
    name = state.name.removeprefix(_STATE_PREFIX)
    return Snapshot(State(name, one_line(resource.error.message)), tasks)


@contextmanager
def _explained(request: VertexRequest) -> Iterator[None]:
    """Silences the client and turns its errors into one line that says what to do.

    Raises:
        UserError: The client raises an error.
    """
    where = f"Vertex AI, {request.parent}"
    try:
        with silenced():
            yield
    except _TEMPORARY as error:
        raise UnreachableError(f"{where}: no answer: {one_line(error)}") from error
    except (api_exceptions.Unauthorized, api_exceptions.Forbidden) as error:
        raise UserError(
            f"{where}: not allowed: {one_line(error)}; check Google's application default "
            f"credentials"
        ) from error
    except api_exceptions.NotFound as error:
        raise UserError(f"{where}: {one_line(error)}; check --project and --region") from error
    except api_exceptions.GoogleAPICallError as error:
        raise UserError(f"{where}: {one_line(error)}") from error
    except auth_exceptions.GoogleAuthError as error:
        raise UserError(
            f"{where}: no credentials: {one_line(error)}; run `gcloud auth application-default "
            f"login`"
        ) from error
