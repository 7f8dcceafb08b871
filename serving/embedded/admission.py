"""The limit on requests at once."""

from __future__ import annotations

import threading

import grpc

from serving.embedded.request_errors import RequestError


class Admission:
    """Counts requests from arrival until their work is done, and refuses those over a limit."""

    def __init__(self, limit: int) -> None:
        """Starts with no request.

        Args:
            limit: Most requests at once.
        """
        self._limit = limit
        self._inside = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def inside(self) -> int:
        """Number of requests that wait or are being answered."""
        return self._inside

    def enter(self) -> None:
        """Counts one request more; `leave` must follow.

        Raises:
            RequestError: RESOURCE_EXHAUSTED; there are too many. UNAVAILABLE; the server is
                stopping.
        """
        with self._changed:
            if self._closed:
                raise RequestError(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
            if self._inside >= self._limit:
                raise RequestError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"the server already has {self._limit} requests, its limit: try again later",
                )
            self._inside += 1

    def leave(self) -> None:
        """Counts one request less."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Refuses all further requests."""
        with self._changed:
            self._closed = True

    def wait_until_empty(self, seconds: float) -> bool:
        """Waits at most that long, and returns whether all requests have left."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._inside, seconds)
