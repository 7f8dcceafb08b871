"""Sends a request to Kubeflow Pipelines with its own client."""

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

from kubeflow.submission.kfp_request import KfpRequest, named
from kubeflow.submission.quiet import one_line, quietly
from kubeflow.submission.watching import Sent, Snapshot, State, UnreachableError
from pipeline.config.errors import UserError

_NO_RIGHTS: Final = (401, 403)
_NOT_FOUND: Final = 404
_LATER: Final = (408, 429, 500, 502, 503, 504)

_OLDEST: Final = (2, 3, 0)
_RELEASE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+).*")


class _Client(kfp.Client):
    """The client with its credentials, those of the pod it runs in among them.

    It says at once that the server does not answer, where the client tries for half a minute and
    logs each try.
    """

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        del sleep_duration
        return self._healthz_api.healthz_service_get_healthz()

    def tag(self) -> str:
        """The tag that the server was built from; empty if it names none."""
        # The answer has more in it than its published model.
        response = self._healthz_api.healthz_service_get_healthz(_preload_content=False)
        try:
            answer = json.loads(response.data)
        except ValueError:
            return ""
        return str(answer.get("tag_name") or "") if isinstance(answer, dict) else ""


def send(request: KfpRequest) -> Sent:
    """Uploads the pipeline if its version is not there, and starts the run or the schedule.

    Raises:
        UserError: the server is not reached, is too old or refuses something.
    """
    with _explained(request.host):
        client = _Client(
            host=request.host, namespace=request.namespace or "kubeflow", credentials=_pods_own()
        )
        _check_release(request.host, client.tag())
        version = _version(client, request) if request.request.use_cache else None
        experiment = _experiment(client, request)
        if request.request.schedule is None:
            return _run(client, request, experiment, version)
        return _recurring_run(client, request, experiment, version)


def _pods_own() -> Any:
    """The credentials of the pod that this runs in; None outside of one.

    The client itself takes them only where it is given no host.
    """
    token = os.environ.get(kfp_client.KF_PIPELINES_SA_TOKEN_ENV)
    token = token or kfp_client.KF_PIPELINES_SA_TOKEN_PATH
    if not Path(token).is_file():
        return None
    return kfp_client.ServiceAccountTokenVolumeCredentials(token)


def _check_release(host: str, tag: str) -> None:
    """Whether the steps can run there; a build that is no release is not judged.

    Raises:
        UserError: they cannot.
    """
    release = _RELEASE.fullmatch(tag)
    if release and tuple(map(int, release.groups())) < _OLDEST:
        raise UserError(
            f"--host {host}: Kubeflow Pipelines {tag}; expected {'.'.join(map(str, _OLDEST))} or "
            f"newer: on older ones, steps that are not root cannot make /gcs, /s3 and /minio"
        )


def _version(client: Any, request: KfpRequest) -> dict[str, str]:
    """The ids of the pipeline and of the version that this file is."""
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
    # With the file, the first version would be called as the pipeline is, and not found again.
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


def _started(request: KfpRequest, version: dict[str, str] | None) -> dict[str, Any]:
    """What a run and a recurring run are both given."""
    what: dict[str, Any] = (
        {**version} if version else {"pipeline_package_path": request.file, "enable_caching": False}
    )
    return {
        "job_name": request.name,
        "params": dict(request.request.parameters),
        "pipeline_root": request.request.pipeline_root,
        "service_account": request.service_account,
        **what,
    }


def _run(client: Any, request: KfpRequest, experiment: str, version: dict[str, str] | None) -> Sent:
    run = client.run_pipeline(experiment_id=experiment, **_started(request, version))
    run_id = _id(request, run.run_id)
    url = f"{request.host}/#/runs/details/{run_id}"
    return Sent("run", request.name, url, partial(_look, client, request, run_id))


def _recurring_run(
    client: Any, request: KfpRequest, experiment: str, version: dict[str, str] | None
) -> Sent:
    schedule = request.request.schedule
    assert schedule is not None
    recurring = client.create_recurring_run(
        experiment_id=experiment,
        cron_expression=schedule.cron,
        max_concurrency=schedule.max_concurrent,
        # Each run takes all the ratings there are: one makes up for any number that were missed.
        no_catchup=True,
        **_started(request, version),
    )
    recurring_id = _id(request, recurring.recurring_run_id)
    return Sent(
        "schedule", request.name, f"{request.host}/#/recurringrun/details/{recurring_id}", None
    )


def _look(client: Any, request: KfpRequest, run_id: str) -> Snapshot:
    """How the run is. Of its tasks those of the pipeline: pods and drivers are others."""
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
    """The id that the server has given something.

    Raises:
        UserError: it has given none: a page to sign in, for instance, has no ids.
    """
    if not given:
        raise UserError(
            f"--host {request.host}: answers, but not as Kubeflow Pipelines does; it may be the "
            f"address of something else, or want you to sign in"
        )
    return given


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """Keeps the client quiet, and has its errors say on one line what can be done.

    Raises:
        UserError: in the place of the client's errors.
    """
    try:
        with quietly():
            yield
    except kfp_server_api.ApiException as error:
        raise _refusal(host, error) from error
    except urllib3.exceptions.HTTPError as error:
        # Of several tries, why the last one failed.
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"--host {host}: not reached: {one_line(reason)}") from error


def _refusal(host: str, error: kfp_server_api.ApiException) -> UserError:
    """What the server said, and what it means."""
    said = one_line(_message(error))
    if error.status in _NO_RIGHTS:
        return UserError(
            f"--host {host}: {error.status}: not allowed: {said}; the credentials are those that "
            f"Kubeflow Pipelines' own client finds"
        )
    if error.status == _NOT_FOUND:
        return UserError(
            f"--host {host}: 404: {said}; is it the address of Kubeflow Pipelines' API?"
        )
    kind = UnreachableError if error.status in _LATER else UserError
    return kind(f"--host {host}: {error.status}: {said}")


def _message(error: kfp_server_api.ApiException) -> Any:
    try:
        return json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        return error.reason
