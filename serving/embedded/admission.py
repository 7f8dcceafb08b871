"""The limits on requests at once, and on their work.

Heavy requests have limits of their own: they leave places to light ones, and their work is bounded,
so that none waits for minutes.
"""

from __future__ import annotations

import threading
from typing import Final

import grpc

from serving.embedded.request_cost import LIGHT_WORK
from serving.embedded.request_errors import RequestError

# Work of all heavy requests together: some ten seconds of one core.
MAX_HEAVY_WORK: Final = 1_000 * LIGHT_WORK


class Admission:
    """Counts requests from arrival until their work is done, and refuses those over the limits."""

    def __init__(self, limit: int) -> None:
        """Starts with no request.

        Args:
            limit: Most requests at once.
        """
        self._limit = limit
        # Half of the places, so that as many are left to light requests.
        self._heavy_limit = max(1, limit // 2)
        self._inside = 0
        self._heavy: list[int] = []
        self._closed = False
        self._changed = threading.Condition()

    @property
    def inside(self) -> int:
        """Number of requests that wait or are being answered."""
        return self._inside

    def enter(self, work: int) -> None:
        """Counts one request more; `leave` must follow.

        A heavy request is admitted if it is the only one, however heavy.

        Args:
            work: Work of the request, in scores.

        Raises:
            RequestError: RESOURCE_EXHAUSTED; there are too many, or they have too much work.
                UNAVAILABLE; the server is stopping.
        """
        with self._changed:
            if self._closed:
                raise RequestError(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
            if self._inside >= self._limit:
                raise _exhausted(f"the server already has {self._limit} requests, its limit")
            if is_heavy(work):
                if len(self._heavy) >= self._heavy_limit:
                    raise _exhausted(
                        f"the server already has {self._heavy_limit} heavy requests, its limit"
                    )
                if self._heavy and sum(self._heavy) + work > MAX_HEAVY_WORK:
                    raise _exhausted("the server already has all the heavy work that it takes")
                self._heavy.append(work)
            self._inside += 1

    def leave(self, work: int) -> None:
        """Counts one request of so much work less."""
        with self._changed:
            self._inside -= 1
            if is_heavy(work):
                self._heavy.remove(work)
            self._changed.notify_all()

    def close(self) -> None:
        """Refuses all further requests."""
        with self._changed:
            self._closed = True

    def wait_until_empty(self, seconds: float) -> bool:
        """Waits at most that long, and returns whether all requests have left."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._inside, seconds)


def is_heavy(work: int) -> bool:
    """Returns whether a request of so much work counts as a heavy one."""
    return work > LIGHT_WORK


def _exhausted(reason: str) -> RequestError:
    return RequestError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, f"{reason}: try again later, or ask for less at once"
    )
