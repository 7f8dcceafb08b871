"""How many requests may be in the house at once."""

from __future__ import annotations

import threading

import grpc

from serving.embedded.request_error import RequestError


class Admission:
    """Counts requests from their arrival until their work is done, and refuses those too many."""

    def __init__(self, limit: int) -> None:
        """Takes the number of requests beyond which others are refused."""
        self._limit = limit
        self._inside = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def inside(self) -> int:
        """Requests that wait or are being answered."""
        return self._inside

    def enter(self) -> None:
        """Counts one more; `leave` must follow.

        Raises:
            RequestError: RESOURCE_EXHAUSTED, there are too many; UNAVAILABLE, no more are taken.
        """
        with self._changed:
            if self._closed:
                raise RequestError(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
            if self._inside >= self._limit:
                raise RequestError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"the server answers {self._limit} requests at once and has as many: try again "
                    "later",
                )
            self._inside += 1

    def leave(self) -> None:
        """Counts one less."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Takes no more."""
        with self._changed:
            self._closed = True

    def wait_until_empty(self, seconds: float) -> bool:
        """Whether all have left within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._inside, seconds)
