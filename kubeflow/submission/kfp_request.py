"""The calls that submit a job to Kubeflow Pipelines, made without its client."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from kubeflow.parameters import DATA, PIPELINE_ROOT
from kubeflow.submission.request import LOCATIONS, Call, Request, check_given, check_type
from kubeflow.submission.run_watcher import UnreachableError
from kubeflow.targets import Target, remote_folders
from kubeflow.training_job import manifest
from pipeline import beam_check
from pipeline.config.errors import UserError
from pipeline.config.kubernetes import AccountName, Namespace

API: Final = "/apis/v2beta1"
MOST_CONCURRENT: Final = 10
"""Largest number of concurrent runs that the server accepts for a schedule."""

_HOST: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[^\s?#@]*)?")
_PORTS: Final = {"http": 80, "https": 443}
_CONNECT_SECONDS: Final = 15
_DIGITS: Final = 12


@dataclass(frozen=True)
class KfpRequest:
    """A request to Kubeflow Pipelines.

    Attributes:
        request: Settings of the run or schedule.
        host: Address of the API, without a slash at its end.
        namespace: Namespace of the pipeline and its runs, where Kubeflow is multi-user.
        experiment: Experiment of the runs; None for one with the pipeline's name.
        pipeline_name: Name of the pipeline that gets the version; None for the name in the file.
        service_account: Service account of the pods; None for the platform's default.
    """

    request: Request
    host: str
    namespace: str | None = None
    experiment: str | None = None
    pipeline_name: str | None = None
    service_account: str | None = None

    @property
    def pipeline(self) -> str:
        """The name of the pipeline on the server."""
        return self.pipeline_name or self.request.compiled.job.name

    @property
    def experiment_name(self) -> str:
        """The name of the experiment of the runs."""
        return self.experiment or self.pipeline

    @cached_property
    def version(self) -> str:
        """The name of the version. It contains the file's digest, so a file is uploaded once."""
        digest = hashlib.sha256(self.request.compiled.path.read_bytes()).hexdigest()
        return f"{self.pipeline}-{digest[:_DIGITS]}"

    @property
    def name(self) -> str:
        """The name of the run or the schedule."""
        scheduled = self.request.schedule is not None
        return self.request.run_name or (self.pipeline if scheduled else self.request.unique_name)

    @property
    def file(self) -> str:
        """The path of the compiled file."""
        return str(self.request.compiled.path)

    def calls(self) -> list[Call]:
        """Returns the calls in their order, with the bodies that they send."""
        return [*_version_calls(self), *_experiment_calls(self), _start_call(self)]


def checked(request: KfpRequest) -> KfpRequest:
    """Checks a request and returns it with its host in normal form.

    Raises:
        UserError: The platform would refuse a part of it.
    """
    host = check_given("--host", request.host, "the address of its API", Target.KFP).rstrip("/")
    if not _HOST.fullmatch(host):
        raise UserError(
            "--host: expected http://HOST:PORT or https://HOST/PATH, without a user or a password"
        )
    if request.namespace is not None:
        check_type("--namespace", request.namespace, Namespace, "a Kubernetes namespace")
    if request.service_account is not None:
        expected = "the name of a Kubernetes service account"
        check_type("--service-account", request.service_account, AccountName, expected)
    for option, name in (
        ("--experiment", request.experiment),
        ("--pipeline-name", request.pipeline_name),
    ):
        if name is not None:
            check_given(option, name, "a name", Target.KFP)
    _check_locations(request.request)
    _check_namespace(request)
    schedule = request.request.schedule
    if schedule is not None and schedule.max_concurrent > MOST_CONCURRENT:
        raise UserError(
            f"--max-concurrent {schedule.max_concurrent}: expected at most {MOST_CONCURRENT} for "
            f"kfp"
        )
    return replace(request, host=host)


def check_reachable(host: str) -> None:
    """Checks that something listens at the address, which the client would try for minutes.

    Raises:
        UnreachableError: Nothing listens there.
    """
    parts = urlsplit(host)
    try:
        port = parts.port or _PORTS[parts.scheme]
        socket.create_connection((parts.hostname, port), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreachableError(f"--host {host}: cannot be reached: {reason}") from error


def named(name: str) -> str:
    """Returns a filter of the API that matches one display name."""
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def _check_locations(request: Request) -> None:
    """Checks that the steps, and Beam's and TFJobs' workers, reach what they read and write."""
    job = request.compiled.job
    values = {PIPELINE_ROOT: job.pipeline_root, **job.parameters, **request.parameters}
    uris = {name: str(values[name]) for name in LOCATIONS if values.get(name) is not None}
    changed, path = request.parameters, request.compiled.path
    labels = {n: f"--parameter {n}" if n in changed else f"{path}: {n}" for n in uris}
    for name, uri in uris.items():
        if uri.startswith("/"):
            raise UserError(
                f"{labels[name]} {uri}: a folder of this machine works with run-compiled only; "
                f"expected {remote_folders(Target.KFP)}"
            )
    # The same checks as when the file was compiled, since parameters can change the folders.
    beam_uris = {labels[name]: uris[name] for name in (PIPELINE_ROOT, DATA) if name in uris}
    for task in job.tasks.values():
        if manifest.VARIABLE in task.container.environment and PIPELINE_ROOT in uris:
            manifest.check_shared(labels[PIPELINE_ROOT], uris[PIPELINE_ROOT])
        beam_check.check_in_cluster(task.container.command, beam_uris)


def _check_namespace(kfp: KfpRequest) -> None:
    """Checks that a TFJob is created in the namespace of its step, which has the rights there."""
    for task in kfp.request.compiled.job.tasks.values():
        compiled = manifest.namespace(task.container.environment)
        if None not in (compiled, kfp.namespace) and compiled != kfp.namespace:
            raise UserError(
                f"--namespace {kfp.namespace}: {kfp.file} has its workers train in {compiled}; "
                f"expected --namespace {compiled}, or a file compiled with "
                f"kfp.namespace={kfp.namespace}"
            )


def _version_calls(kfp: KfpRequest) -> list[Call]:
    # A version contains the settings of the cache. A run without the cache brings its own spec.
    if not kfp.request.use_cache:
        return []
    names = {"name": kfp.pipeline, "display_name": kfp.pipeline}
    space = {"namespace": kfp.namespace} if kfp.namespace else {}
    versions = f"{API}/pipelines/<pipeline_id>/versions"
    return [
        Call("GET", f"{API}/pipelines", {"filter": named(kfp.pipeline), **space}),
        Call("POST", f"{API}/pipelines", when="there is no such pipeline", body={**names, **space}),
        Call("GET", versions, {"filter": named(kfp.version)}),
        Call(
            "POST",
            f"{API}/pipelines/upload_version",
            {"name": kfp.version, "pipelineid": "<pipeline_id>"},
            when="there is no such version",
            file=kfp.file,
        ),
    ]


def _experiment_calls(kfp: KfpRequest) -> list[Call]:
    space = {"namespace": kfp.namespace} if kfp.namespace else {}
    body = {"display_name": kfp.experiment_name, **space}
    return [
        Call("GET", f"{API}/experiments", {"filter": named(kfp.experiment_name), **space}),
        Call("POST", f"{API}/experiments", when="there is no such experiment", body=body),
    ]


def _start_call(kfp: KfpRequest) -> Call:
    request = kfp.request
    # Without a root in the request, the server takes its own default and not the file's.
    root = {"pipeline_root": request.pipeline_root} if request.pipeline_root else {}
    body = {
        "display_name": kfp.name,
        "experiment_id": "<experiment_id>",
        **_pipeline_to_run(kfp),
        "runtime_config": {"parameters": dict(request.parameters), **root},
        **({"service_account": kfp.service_account} if kfp.service_account else {}),
    }
    if request.schedule is None:
        return Call("POST", f"{API}/runs", body=body)
    body |= {
        "trigger": {"cron_schedule": {"cron": request.schedule.cron}},
        "max_concurrency": request.schedule.max_concurrent,
        "mode": "ENABLE",
        "no_catchup": True,
    }
    return Call("POST", f"{API}/recurringruns", body=body)


def _pipeline_to_run(kfp: KfpRequest) -> dict[str, Any]:
    if kfp.request.use_cache:
        version = {"pipeline_id": "<pipeline_id>", "pipeline_version_id": "<pipeline_version_id>"}
        return {"pipeline_version_reference": version}
    spec, *platforms = deepcopy(kfp.request.compiled.documents)
    for task in spec["root"]["dag"]["tasks"].values():
        task["cachingOptions"] = {}
    if not platforms:
        return {"pipeline_spec": spec}
    return {"pipeline_spec": {"pipeline_spec": spec, "platform_spec": platforms[0]}}
