"""The Trainer's step where a TFJob trains: makes it, tells what it does, and answers for it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from kubernetes.client import ApiException

from kubeflow.training_job.cluster import Cluster, connect, explain
from kubeflow.training_job.manifest import VARIABLE, Manifest, for_run
from kubeflow.training_job.pods import PodLog, condition, first_failure, state
from pipeline.config.errors import RunInterruptedError, UserError

# Takes the place of TFX's own, which every replica runs.
EXECUTOR: Final = "kubeflow.training_job.executor.TrainedModelExecutor"

_POLL_SECONDS: Final = 5.0
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404

# What Kubernetes tells every pod of its namespace, and Kubeflow Pipelines every step of its pod.
_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_POD_NAME: Final = "KFP_POD_NAME"
_POD_UID: Final = "KFP_POD_UID"

Say = Callable[[str], None]
Pause = Callable[[float], None]


def train(arguments: argparse.Namespace) -> None:
    """Has the TFJob that the environment describes train with a step's own arguments.

    Args:
        arguments: Arguments of the step, with its ExecutorInput resolved.

    Raises:
        UserError: the job could not be made, has failed or was deleted.
        RunInterruptedError: this process was told to stop.
    """
    job = for_run(
        json.loads(os.environ[VARIABLE]),
        [f"--{name}={value}" for name, value in vars(arguments).items() if value is not None],
    )
    namespace = job["metadata"]["namespace"]
    job["metadata"]["ownerReferences"] = owners(namespace, os.environ, _NAMESPACE_FILE)
    run(Cluster(connect(), namespace, _say), job, _say)


def run(cluster: Cluster, job: Manifest, say: Say, pause: Pause = time.sleep) -> None:
    """Makes the job and returns when it has succeeded.

    A job that has ended stays for a while, so that one can look at it. Whatever else ends this,
    SIGTERM too, deletes it. Kubeflow's own processes around a step end on the same signal, and
    may take this one along too soon: then the job goes with the step's pod, which owns it.

    Args:
        cluster: where.
        job: TFJob of this run.
        say: is told how it goes, and what the chief prints.
        pause: waits for some seconds.

    Raises:
        UserError: the job could not be made, has failed or was deleted.
        RunInterruptedError: this process was told to stop.
    """
    name = job["metadata"]["name"]
    called = f"TFJob {cluster.namespace}/{name}"
    with _stoppable(called), ExitStack() as left_behind:
        left_behind.callback(_delete, cluster, name, say)
        try:
            cluster.create(job)
        except ApiException as refusal:
            left_behind.pop_all()
            raise UserError(f"{called}: not created: {_advice(refusal, cluster)}") from refusal
        say(f"{called}: created")
        try:
            ended, members = _follow(cluster, name, say, pause)
        except ApiException as refusal:
            raise UserError(f"{called}: {_advice(refusal, cluster)}") from refusal
        left_behind.pop_all()
    failed = condition(ended, "Failed")
    if failed is None:
        say(f"{called}: succeeded")
        return
    failure = first_failure(members)
    if failure is None:
        raise UserError(f"{called} failed: {' '.join(str(failed.get('message')).split())}")
    for line in failure.printed:
        say(f"{_replica(failure.pod, name)}: {line}")
    raise UserError(f"{called} failed: {failure}")


def _follow(cluster: Cluster, name: str, say: Say, pause: Pause) -> tuple[Manifest, list[Manifest]]:
    """Returns the job and its pods when it has ended.

    Raises:
        UserError: somebody deleted it.
    """
    logs: dict[str, PodLog] = {}
    told = None
    while True:
        job = cluster.job(name)
        if job is None:
            raise UserError(
                f"TFJob {cluster.namespace}/{name} was deleted while it ran; a new run goes on "
                f"from the last state that its chief saved"
            )
        members = cluster.pods(name)
        states = ", ".join(
            f"{_replica(pod['metadata']['name'], name)} {state(pod)}" for pod in members
        )
        if states != told:
            say(f"TFJob {cluster.namespace}/{name}: {states or 'no pods yet'}")
            told = states
        for pod in members:
            replica = _replica(pod["metadata"]["name"], name)
            # The others say the same, as far as they say anything.
            if replica.startswith("chief-"):
                log = logs.setdefault(
                    pod["metadata"]["uid"], PodLog(cluster, pod["metadata"]["name"])
                )
                for line in log.new_lines():
                    say(f"{replica}: {line}")
        if condition(job, "Succeeded") or condition(job, "Failed"):
            return job, members
        pause(_POLL_SECONDS)


def _replica(pod: str, job: str) -> str:
    """Returns the kind and the number of a replica, as `worker-0`."""
    return pod.removeprefix(f"{job}-")


def _delete(cluster: Cluster, name: str, say: Say) -> None:
    try:
        cluster.delete(name)
    except (ApiException, UserError) as error:
        reason = explain(error) if isinstance(error, ApiException) else error
        say(
            f"TFJob {cluster.namespace}/{name} may still run: {reason}; "
            f"`kubectl delete tfjob -n {cluster.namespace} {name}` ends it"
        )


def _advice(refusal: ApiException, cluster: Cluster) -> str:
    """Returns what Kubernetes refuses, and what to do."""
    said = explain(refusal)
    if refusal.status == _FORBIDDEN:
        return (
            f"{said}; expected the step's service account to be allowed create, get and delete of "
            f"tfjobs.kubeflow.org, list of pods and get of pods/log in {cluster.namespace}"
        )
    if refusal.status == _NOT_FOUND:
        return (
            f"{said}; expected Kubeflow's training operator, with TFJob of kubeflow.org/v1, in the "
            f"cluster, and kfp.namespace={cluster.namespace} to exist"
        )
    return said


def owners(namespace: str, environment: Mapping[str, str], namespace_file: Path) -> list[Manifest]:
    """Returns the pod of this step, with which Kubernetes deletes the job; it must be beside it."""
    own = namespace_file.read_text().strip() if namespace_file.is_file() else None
    if own != namespace or not {_POD_NAME, _POD_UID} <= environment.keys():
        return []
    pod = {"name": environment[_POD_NAME], "uid": environment[_POD_UID]}
    return [{"apiVersion": "v1", "kind": "Pod", **pod}]


@contextmanager
def _stoppable(called: str) -> Iterator[None]:
    """Makes an error of the signals that ask a process to end, of the first of them alone."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise RunInterruptedError(
            f"told to stop by {signal.Signals(number).name}: {called} is deleted; a new run goes "
            f"on from the last state that its chief saved"
        )

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    print(line, flush=True)
