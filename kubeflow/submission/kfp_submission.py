"""Submits a job to Kubeflow Pipelines with its own client."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import kfp
import kfp_server_api
import urllib3
from kfp import client as kfp_client

from kubeflow.submission.client_output import one_line, silenced
from kubeflow.submission.kfp_request import KfpRequest, named
from kubeflow.submission.run_watcher import Sent, Snapshot, State, UnreachableError
from kubeflow.targets import OLDEST_KFP
from pipeline.config.errors import UserError

_NOT_ALLOWED: Final = (401, 403)
_NOT_FOUND: Final = 404
_TEMPORARY: Final = (408, 429, 500, 502, 503, 504)

_RELEASE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+).*")


class _Client(kfp.Client):
    """Kubeflow Pipelines' client, which fails at once where the server does not answer.

    The original tries for half a minute and logs each attempt.
    """

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        del sleep_duration
        return self._healthz_api.healthz_service_get_healthz()

    def tag(self) -> str:
        """Returns the release of the server; empty if the server names none."""
        # The published model of the response lacks the tag.
        response = self._healthz_api.healthz_service_get_healthz(_preload_content=False)
        try:
            answer = json.loads(response.data)
        except ValueError:
            return ""
        return str(answer.get("tag_name") or "") if isinstance(answer, dict) else ""


def send(request: KfpRequest) -> Sent:
    """Uploads the version unless the server has it, and starts the run or the schedule.

    Raises:
        UserError: The server cannot be reached, is too old, or refuses the request.
    """
    with _explained(request.host):
        client = _Client(
            host=request.host,
            namespace=request.namespace or "kubeflow",
            credentials=_pod_credentials(),
        )
        _check_release(request.host, client.tag())
        version = _version(client, request) if request.request.use_cache else None
        experiment = _experiment(client, request)
        if request.request.schedule is None:
            return _run(client, request, experiment, version)
        return _recurring_run(client, request, experiment, version)


def _pod_credentials() -> Any:
    """Returns the credentials of the pod that this process runs in; None outside of a pod.

    The client looks for them only when it gets no host.
    """
    token = os.environ.get(kfp_client.KF_PIPELINES_SA_TOKEN_ENV)
    token = token or kfp_client.KF_PIPELINES_SA_TOKEN_PATH
    if not Path(token).is_file():
        return None
    return kfp_client.ServiceAccountTokenVolumeCredentials(token)


def _check_release(host: str, tag: str) -> None:
    """Checks that steps can run on the server. Builds that are no release pass.

    Raises:
        UserError: The release is too old.
    """
    release = _RELEASE.fullmatch(tag)
    if release and tuple(map(int, release.groups())) < OLDEST_KFP:
        oldest = ".".join(map(str, OLDEST_KFP))
        raise UserError(
            f"--host {host}: Kubeflow Pipelines {tag}; expected {oldest} or newer: on older "
            f"releases, steps that are not root cannot create /gcs, /s3 and /minio"
        )


def _version(client: Any, request: KfpRequest) -> dict[str, str]:
    """Returns the ids of the pipeline and of the version of the file."""
    pipeline_id = _pipeline_id(client, request)
    listed = client.list_pipeline_versions(pipeline_id, filter=named(request.version))
    if listed.pipeline_versions:
        version = listed.pipeline_versions[0]
    else:
        version = client.upload_pipeline_version(
            request.file, request.version, pipeline_id=pipeline_id
        )
    return {
        "pipeline_id": pipeline_id,
        "version_id": _id(request, version.pipeline_version_id),
    }


def _pipeline_id(client: Any, request: KfpRequest) -> str:
    name, namespace = request.pipeline, request.namespace
    listed = client.list_pipelines(filter=named(name), namespace=namespace)
    if listed.pipelines:
        return _id(request, listed.pipelines[0].pipeline_id)
    # If the upload created the pipeline, the first version would get the name of the pipeline.
    pipeline = kfp_server_api.V2beta1Pipeline(name=name, display_name=name, namespace=namespace)
    made = client.pipelines.pipeline_service_create_pipeline(pipeline=pipeline)
    return _id(request, made.pipeline_id)


def _experiment(client: Any, request: KfpRequest) -> str:
    name = request.experiment_name
    try:
        made = client.create_experiment(name, namespace=request.namespace)
    except ValueError as error:
        raise UserError(f"--experiment {name}: {one_line(error)}") from error
    return _id(request, made.experiment_id)


def _common_arguments(request: KfpRequest, version: dict[str, str] | None) -> dict[str, Any]:
    """Returns the arguments that a run and a recurring run share."""
    pipeline: dict[str, Any] = (
        {**version} if version else {"pipeline_package_path": request.file, "enable_caching": False}
    )
    return {
        "job_name": request.name,
        "params": dict(request.request.parameters),
        "pipeline_root": request.request.pipeline_root,
        "service_account": request.service_account,
        **pipeline,
    }


def _run(client: Any, request: KfpRequest, experiment: str, version: dict[str, str] | None) -> Sent:
    run = client.run_pipeline(experiment_id=experiment, **_common_arguments(request, version))
    run_id = _id(request, run.run_id)
    url = f"{request.host}/#/runs/details/{run_id}"
    return Sent("run", request.name, url, partial(_poll, client, request, run_id))


def _recurring_run(
    client: Any, request: KfpRequest, experiment: str, version: dict[str, str] | None
) -> Sent:
    schedule = request.request.schedule
    assert schedule is not None
    recurring = client.create_recurring_run(
        experiment_id=experiment,
        cron_expression=schedule.cron,
        max_concurrency=schedule.max_concurrent,
        # Each run takes all ratings, so one run makes up for all that were missed.
        no_catchup=True,
        **_common_arguments(request, version),
    )
    recurring_id = _id(request, recurring.recurring_run_id)
    return Sent(
        "schedule", request.name, f"{request.host}/#/recurringrun/details/{recurring_id}", None
    )


def _poll(client: Any, request: KfpRequest, run_id: str) -> Snapshot:
    """Returns the states of the run and of the pipeline's tasks, without pods and drivers."""
    with _explained(request.host):
        run = client.get_run(run_id)
    details = run.run_details.task_details if run.run_details else None
    tasks = request.request.compiled.job.tasks
    return Snapshot(
        _state(run), {t.display_name: _state(t) for t in details or () if t.display_name in tasks}
    )


def _state(thing: Any) -> State:
    error = one_line(thing.error.message) if thing.error and thing.error.message else ""
    return State(thing.state or "PENDING", error)


def _id(request: KfpRequest, given: str | None) -> str:
    """Returns an id from the server's response.

    Raises:
        UserError: There is none, for instance because the response is a page to sign in.
    """
    if not given:
        raise UserError(
            f"--host {request.host}: does not answer as Kubeflow Pipelines; check the address, and "
            f"whether it asks you to sign in"
        )
    return given


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """Silences the client and turns its errors into one line that says what to do.

    Raises:
        UserError: The client raises an error.
    """
    try:
        with silenced():
            yield
    except kfp_server_api.ApiException as error:
        raise _refusal(host, error) from error
    except urllib3.exceptions.HTTPError as error:
        # After several attempts, the reason is that of the last one.
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"--host {host}: cannot be reached: {one_line(reason)}") from error


def _refusal(host: str, error: kfp_server_api.ApiException) -> UserError:
    """Returns the error for a response of the server that reports one."""
    said = one_line(_message(error))
    if error.status in _NOT_ALLOWED:
        return UserError(
            f"--host {host}: {error.status}: not allowed: {said}; check the credentials that "
            f"Kubeflow Pipelines' own client finds"
        )
    if error.status == _NOT_FOUND:
        return UserError(
            f"--host {host}: 404: {said}; is it the address of Kubeflow Pipelines' API?"
        )
    kind = UnreachableError if error.status in _TEMPORARY else UserError
    return kind(f"--host {host}: {error.status}: {said}")


def _message(error: kfp_server_api.ApiException) -> Any:
    try:
        return json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        return error.reason
