"""Waiting for a model to be served, without the waiting itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import grpc

from serving.client.answers import VersionStatus
from serving.client.call_errors import CallError, DeadlineExceededError, one_line

POLL_SECONDS: Final = 0.1

# What a server that starts, or that has not found its model yet, may answer.
_TEMPORARY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class Wait:
    """The time that is left, and what was in the way so far."""

    def __init__(self, address: str, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._reason = "no answer"

    def seconds_for(self, timeout: float) -> float:
        """What one call may take, which would have a timeout otherwise."""
        return max(POLL_SECONDS, min(timeout, self._end - time.monotonic()))

    def failed(self, error: CallError) -> None:
        """Notes that a call failed; raises the error if it will not go away by itself."""
        if error.code not in _TEMPORARY:
            raise error
        # The last calls have little time; their having too little is not what is wrong.
        if error.code != grpc.StatusCode.DEADLINE_EXCEEDED:
            self._reason = str(error)
        self._go_on()

    def not_yet(self, found: Sequence[VersionStatus]) -> None:
        """Notes what a server answered that has not the version available."""
        states = (f"version {each.version} is {each.state} {each.error}" for each in found)
        self._reason = one_line("; ".join(states)) or "no version"
        self._go_on()

    def _go_on(self) -> None:
        if time.monotonic() >= self._end:
            raise DeadlineExceededError(
                f"{self._address}: not available within {self._seconds:g} s ({self._reason})",
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
