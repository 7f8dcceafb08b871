"""What the status of a job and of its pods says, and what pods print."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from kubeflow.training_job.cluster import Cluster
from kubeflow.training_job.manifest import Manifest

# What is read twice is told apart by its time.
_OVERLAP_SECONDS = 5


@dataclass(frozen=True)
class Failure:
    """Why a pod has failed.

    Attributes:
        pod: its name.
        reason: a few words.
        printed: the last lines that it printed, if they are known.
        finished: when, as Kubernetes writes it, in UTC; nothing if it does not say.
    """

    pod: str
    reason: str
    printed: tuple[str, ...]
    finished: str

    def __str__(self) -> str:
        last = f": {self.printed[-1]}" if self.printed else ""
        return f"pod {self.pod} failed ({self.reason}){last}"


def condition(job: Manifest, kind: str) -> Manifest | None:
    """Returns the condition of this type, if it holds."""
    conditions: Iterable[Manifest] = job.get("status", {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def first_failure(pods: Iterable[Manifest]) -> Failure | None:
    """Returns the failure that came before the others, which fail for want of the first."""
    failures = [failure for failure in map(_failure, pods) if failure]
    return min(failures, key=lambda failure: failure.finished or "~", default=None)


def state(pod: Manifest) -> str:
    """Its phase, and what it waits for."""
    status = pod.get("status", {})
    phase = str(status.get("phase", "Pending"))
    waits = [
        entry["state"]["waiting"]
        for entry in status.get("containerStatuses", ())
        if "waiting" in entry.get("state", {})
    ]
    unscheduled = [
        entry
        for entry in status.get("conditions", ())
        if entry["type"] == "PodScheduled" and entry["status"] == "False"
    ]
    for cause in [*waits, *unscheduled]:
        return f"{phase} ({_cause(cause)})"
    return phase


class PodLog:
    """What a pod prints, piece by piece."""

    def __init__(self, cluster: Cluster, pod: str) -> None:
        """Begins at the beginning."""
        self._cluster, self._pod = cluster, pod
        self._asked: float | None = None
        self._last = ""

    def new_lines(self) -> list[str]:
        """Returns the lines since the last call."""
        now = time.monotonic()
        seconds = None if self._asked is None else math.ceil(now - self._asked) + _OVERLAP_SECONDS
        entries = [line.partition(" ") for line in self._cluster.log(self._pod, seconds)]
        self._asked = now
        new = [(at, text) for at, _, text in entries if at > self._last]
        self._last = max((at for at, _ in new), default=self._last)
        return [text for _, text in new]


def _failure(pod: Manifest) -> Failure | None:
    status, name = pod.get("status", {}), str(pod["metadata"]["name"])
    for entry in status.get("containerStatuses", ()):
        ended = entry.get("state", {}).get("terminated")
        if ended and ended["exitCode"]:
            reason = f"exit code {ended['exitCode']}"
            if ended.get("reason", "Error") != "Error":
                reason = f"{ended['reason']}, {reason}"
            printed = [line.strip() for line in ended.get("message", "").splitlines()]
            return Failure(
                name, reason, tuple(filter(None, printed)), ended.get("finishedAt") or ""
            )
    if status.get("phase") == "Failed":
        return Failure(name, _cause(status), (), "")
    return None


def _cause(status: Manifest) -> str:
    said = [str(status[key]) for key in ("reason", "message") if status.get(key)]
    return " ".join(": ".join(said).split()) or "for no reason that Kubernetes knows"
