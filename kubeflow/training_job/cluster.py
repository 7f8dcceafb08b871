"""The few calls to the Kubernetes API that a TFJob takes, tried again where it only hiccups."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from kubernetes import client, config
from urllib3.exceptions import HTTPError

from kubeflow.training_job.manifest import GROUP, PLURAL, VERSION, Manifest
from pipeline.config.errors import UserError

# Every pod of a job has its name by this label.
JOB_LABEL: Final = "training.kubeflow.org/job-name"

_CONNECT_AND_READ_SECONDS: Final = (10, 60)
_LONGEST_WAIT_SECONDS: Final = 30.0
_GIVE_UP_SECONDS: Final = 15 * 60.0
DELETION_SECONDS: Final = 5 * 60

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_SERVERS_FAULT: Final = 500


def connect() -> client.ApiClient:
    """Returns a client with the credentials of this pod, or else of the default kubeconfig.

    Raises:
        UserError: there are neither.
    """
    settings = client.Configuration()
    # Waiting and trying again is done here, and said.
    settings.retries = False
    try:
        config.load_incluster_config(client_configuration=settings)
    except config.ConfigException:
        try:
            config.load_kube_config(client_configuration=settings)
        except config.ConfigException as error:
            raise UserError(
                f"training.workers: several are a TFJob in a Kubernetes cluster, and this is no "
                f"pod and has no kubeconfig ({error}); expected one of them"
            ) from error
    return client.ApiClient(settings)


class Cluster:
    """A namespace of a cluster.

    What Kubernetes refuses, whoever asks again, is an `ApiException`; that it cannot be reached
    for long is a `UserError`.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        say: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """A namespace.

        Args:
            api: Client with credentials.
            namespace: Namespace of the jobs and pods.
            say: is told of every hiccup.
            pause: waits for some seconds.
        """
        self.namespace = namespace
        self._jobs = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._say, self._pause = say, pause

    def create(self, job: Manifest) -> None:
        """Makes a job, in place of one of its name that an earlier try of this step has left."""
        name = job["metadata"]["name"]
        for left in reversed(range(DELETION_SECONDS)):
            try:
                self._ask(self._jobs.create_namespaced_custom_object, *self._of_jobs(), job)
                return
            except client.ApiException as refusal:
                if refusal.status != _CONFLICT or not left:
                    raise
            self.delete(name)
            self._pause(1)

    def job(self, name: str) -> Manifest | None:
        """Returns the job with its status; None if there is none."""
        try:
            text = self._ask(self._jobs.get_namespaced_custom_object, *self._of_jobs(), name)
        except client.ApiException as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise
        return dict(json.loads(text))

    def delete(self, name: str) -> None:
        """Deletes the job, and with it all pods; fine if there is none."""
        try:
            self._ask(
                self._jobs.delete_namespaced_custom_object,
                *self._of_jobs(),
                name,
                propagation_policy="Background",
            )
        except client.ApiException as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def pods(self, name: str) -> list[Manifest]:
        """Returns the pods of a job, by name."""
        text = self._ask(
            self._core.list_namespaced_pod, self.namespace, label_selector=f"{JOB_LABEL}={name}"
        )
        return sorted(json.loads(text)["items"], key=lambda pod: str(pod["metadata"]["name"]))

    def log(self, pod: str, seconds: int | None) -> list[str]:
        """Returns the lines that a pod has printed, each after its time and a space.

        Args:
            pod: its name.
            seconds: how far back; None for all.

        Returns:
            Nothing if it has not started, or is gone.
        """
        since = {} if seconds is None else {"since_seconds": seconds}
        try:
            text = self._ask(
                self._core.read_namespaced_pod_log, pod, self.namespace, timestamps=True, **since
            )
        except client.ApiException as refusal:
            if refusal.status in {400, _NOT_FOUND}:
                return []
            raise
        return text.splitlines()

    def _of_jobs(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, PLURAL

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
        """Returns what the API answers; asked again after a while if it does not."""
        started, waits = time.monotonic(), _waits()
        while True:
            try:
                response = call(
                    *arguments,
                    **options,
                    # As it is: a log may look like JSON, or be no UTF-8.
                    _preload_content=False,
                    _request_timeout=_CONNECT_AND_READ_SECONDS,
                )
                return str(response.data.decode("utf-8", errors="replace"))
            except (client.ApiException, HTTPError) as error:
                reason = _hiccup(error)
                if reason is None:
                    raise
                if time.monotonic() - started > _GIVE_UP_SECONDS:
                    raise UserError(
                        f"the Kubernetes API has not answered for {_GIVE_UP_SECONDS / 60:.0f} "
                        f"minutes: {reason}"
                    ) from error
                wait = next(waits)
                self._say(f"the Kubernetes API: {reason}; asking again in {wait:.0f} s")
                self._pause(wait)


def explain(refusal: client.ApiException) -> str:
    """Returns what Kubernetes says, in one line."""
    body = refusal.body or b""
    text = body if isinstance(body, str) else body.decode("utf-8", errors="replace")
    try:
        said = json.loads(text)["message"]
    except (ValueError, TypeError, KeyError):
        said = text or refusal.reason
    return " ".join(str(said).split())


def _waits() -> Iterator[float]:
    seconds = 1.0
    while True:
        yield seconds
        seconds = min(2 * seconds, _LONGEST_WAIT_SECONDS)


def _hiccup(error: Exception) -> str | None:
    """Returns why the API did not answer; None if it did, and refused."""
    if not isinstance(error, client.ApiException):
        return type(error).__name__
    if error.status == _TOO_MANY or error.status >= _SERVERS_FAULT:
        return f"{error.status} {error.reason}"
    return None
