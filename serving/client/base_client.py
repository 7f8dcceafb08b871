"""What the client and its asyncio twin share: their arguments, and waiting for a server."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import grpc

from serving.answers import VersionStatus
from serving.client.call_errors import CallError, DeadlineExceededError
from serving.client.model_calls import METHODS, ModelCalls
from serving.client.retries import channel_options
from serving.defaults import (
    DEFAULT_MODEL,
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT,
    MAX_ATTEMPTS,
    MAX_MESSAGE_BYTES,
)
from serving.errors import ServingError, one_line
from serving.tls import ClientTls

POLL_SECONDS: Final = 0.1

# A server that is starting, or that has not found its model yet, may answer these.
_TEMPORARY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class BaseClient(ABC):
    """One model on a server that speaks TensorFlow Serving's gRPC.

    A client keeps one channel. It connects at the first call, and again when the connection is
    lost. Each call is tried again, within its deadline, while the server is unavailable or has no
    free thread. All methods raise `ServingError` for wrong arguments, and its subclasses in
    `serving.client.call_errors` for calls that fail.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        model: str = DEFAULT_MODEL,
        *,
        version: int | None = None,
        label: str | None = None,
        tls: ClientTls | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        attempts: int = MAX_ATTEMPTS,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        """Prepares a connection; the first call makes it.

        Args:
            target: `HOST:PORT` of the server. A name with several addresses is used in turn:
                `dns:///HOST:PORT`, or `ipv4:ADDRESS:PORT,ADDRESS:PORT`.
            model: Name of the model on the server.
            version: Version to query; None leaves it to the server, which takes the newest.
            label: Label of the version to query, in place of its number.
            tls: Certificates; None connects in the clear.
            timeout: Seconds that a call may take with all its attempts.
            attempts: Attempts in all at a server that is unavailable, and in all at one that has
                no free thread; 1 to 5.
            max_message_bytes: Largest request or answer, in bytes.

        Raises:
            ServingError: An argument is out of bounds, or a TLS file cannot be read.
            RuntimeError: No event loop is running (asyncio client only).
        """
        library = self._library()
        self._calls = ModelCalls(model, version, label)
        if ":" not in target:
            raise ServingError(f"target {target!r}: expected HOST:PORT, such as {DEFAULT_TARGET}")
        if not 0 < timeout < math.inf:
            raise ServingError(f"timeout: given {timeout:g}, expected seconds above 0")
        self._address = target
        self._timeout = timeout
        self._attempts = attempts
        self._closed = False
        options = channel_options(attempts, max_message_bytes)
        if tls is None:
            self._channel = library.insecure_channel(target, options)
        else:
            self._channel = library.secure_channel(target, tls.credentials(), options)
        self._methods = {method: self._channel.unary_unary(method) for method in METHODS}

    @abstractmethod
    def _library(self) -> Any:
        """Returns the module that makes channels: `grpc` or `grpc.aio`."""


class Wait:
    """The time left to wait for a model, and what has been in the way so far."""

    def __init__(self, address: str, seconds: float) -> None:
        """Starts the clock.

        Args:
            address: Address of the server, for the error.
            seconds: Seconds to wait.
        """
        self._address = address
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._reason = "no answer"

    def call_timeout(self, timeout: float) -> float:
        """Returns the seconds that one call may take: at most the timeout and the time left."""
        return max(POLL_SECONDS, min(timeout, self._end - time.monotonic()))

    def failed(self, error: CallError) -> None:
        """Notes that a call failed.

        Raises:
            CallError: The error will not go away by itself, or the time is over.
        """
        if error.code not in _TEMPORARY:
            raise error
        # The last calls get little time, so their deadline is not what is wrong.
        if error.code != grpc.StatusCode.DEADLINE_EXCEEDED:
            self._reason = str(error)
        self._check_time()

    def not_yet(self, statuses: Sequence[VersionStatus]) -> None:
        """Notes the versions of a server on which the version is not available.

        Raises:
            DeadlineExceededError: The time is over.
        """
        states = (f"version {each.version} is {each.state} {each.error}" for each in statuses)
        self._reason = one_line("; ".join(states)) or "no version"
        self._check_time()

    def _check_time(self) -> None:
        if time.monotonic() >= self._end:
            raise DeadlineExceededError(
                f"{self._address}: not available within {self._seconds:g} s ({self._reason})",
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
