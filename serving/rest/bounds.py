"""The bounds on requests to the REST API and its answers: how many, how large, and how slow."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.defaults import MAX_CONCURRENT_REQUESTS, MAX_MESSAGE_BYTES
from serving.rest.rest_errors import RestError, error_response

# Bodies, and answers, in memory at once, in those of the largest size. As JSON, either takes many
# times the memory.
_LARGEST_AT_ONCE: Final = 2
_BODY_SECONDS: Final = 10.0
# What the connection is given of an answer at once. It keeps as much until the client reads.
_PIECE_BYTES: Final = 64 * 1024

ANSWER: Final = "movierec.answer"
"""Key of a request's `Answer` in its scope."""


@dataclass(frozen=True)
class Bounds:
    """Bounds on requests.

    Attributes:
        max_requests: Most requests at once, until their answers are read; further ones are
            answered 429.
        max_body_bytes: Largest body; a larger one is answered 413.
        max_held_bytes: Most bytes of all bodies at once; further ones are answered 429.
        max_answer_bytes: Most bytes of all large answers at once, as the model server sends them;
            further ones are answered 429.
        body_seconds: Seconds in which a body must arrive; a later one is answered 408.
    """

    max_requests: int = MAX_CONCURRENT_REQUESTS
    max_body_bytes: int = MAX_MESSAGE_BYTES
    max_held_bytes: int = _LARGEST_AT_ONCE * MAX_MESSAGE_BYTES
    max_answer_bytes: int = _LARGEST_AT_ONCE * MAX_MESSAGE_BYTES
    body_seconds: float = _BODY_SECONDS


class Answers:
    """The large answers that are in memory, until clients have read them; threads may share it.

    What a small answer takes is bounded by the number of requests. There is room for fewer large
    ones than requests, so clients who read them slowly cannot keep others from small ones.
    """

    def __init__(self, bounds: Bounds) -> None:
        """Starts with none.

        Args:
            bounds: Bounds on the requests.
        """
        self._most = bounds.max_answer_bytes
        self._small = bounds.max_answer_bytes // bounds.max_requests
        self._lock = threading.Lock()
        self._held_bytes = 0

    def change(self, size: int) -> None:
        """Counts an answer, or with a negative size one that was counted and is read.

        Raises:
            RestError: 429; all together would be too large.
        """
        if abs(size) <= self._small:
            return
        with self._lock:
            if size > 0 and self._held_bytes + size > self._most:
                raise _busy("the server already has as much to answer as it takes")
            self._held_bytes += size


class Answer:
    """The answer of one request; its size becomes known in a thread."""

    def __init__(self, answers: Answers) -> None:
        """Starts without a size.

        Args:
            answers: All answers.
        """
        self._answers = answers
        self._lock = threading.Lock()
        self._size = 0
        self._ended = False

    def hold(self, size: int) -> None:
        """Counts the answer from now on.

        Args:
            size: Bytes of the message.

        Raises:
            RestError: 429; there are too many large answers, or the client has gone.
        """
        with self._lock:
            if self._ended:
                raise _busy("the client has gone")
            self._answers.change(size)
            self._size = size

    def end(self) -> None:
        """Counts the answer no more."""
        with self._lock:
            self._ended = True
            self._answers.change(-self._size)


class BoundedRequests:
    """Middleware that reads bodies within bounds before the application sees the requests."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        """Wraps an application.

        Args:
            app: Application to guard.
            bounds: Bounds on its requests.
        """
        self._app = app
        self._bounds = bounds
        self._requests = 0
        self._held_bytes = 0
        self._answers = Answers(bounds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = _Body(scope)
        answer = Answer(self._answers)
        scope[ANSWER] = answer
        try:
            # All of this runs in one event loop, so that nothing comes between check and count.
            if self._requests >= self._bounds.max_requests:
                raise _busy(f"the server already has {self._requests} requests, its limit")
            self._requests += 1
            try:
                if not await self._read(held, receive):
                    return
                await self._app(scope, held.replay(receive), _in_pieces(send))
            finally:
                answer.end()
                self._requests -= 1
                self._held_bytes -= len(held.content)
        except RestError as error:
            await error_response(error)(scope, receive, send)

    async def _read(self, body: _Body, receive: Receive) -> bool:
        """Reads a body; returns False if the client has gone."""
        self._check(body.announced)
        try:
            async with asyncio.timeout(self._bounds.body_seconds):
                while (message := await receive())["type"] == "http.request":
                    chunk = message.get("body", b"")
                    self._check(len(body.content) + len(chunk))
                    if self._held_bytes + len(chunk) > self._bounds.max_held_bytes:
                        raise _busy("the server already has as much to read as it takes")
                    body.content += chunk
                    self._held_bytes += len(chunk)
                    if not message.get("more_body", False):
                        return True
        except TimeoutError as error:
            raise RestError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body did not arrive within {self._bounds.body_seconds:g} s",
                closes=True,
            ) from error
        return False

    def _check(self, size: int) -> None:
        if size > self._bounds.max_body_bytes:
            raise RestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has more than {self._bounds.max_body_bytes} bytes; send several "
                "requests",
                closes=True,
            )


def _in_pieces(send: Send) -> Send:
    """Returns a function that sends a body and returns when the client has read nearly all.

    The connection takes what it is given, and lets the next message wait until the client has read.
    So the answer is given to it in pieces, and the last message is empty.
    """

    async def send_in_pieces(message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            for start in range(0, len(body), _PIECE_BYTES):
                piece = body[start : start + _PIECE_BYTES]
                await send({"type": message["type"], "body": piece, "more_body": True})
            message = {**message, "body": b""}
        await send(message)

    return send_in_pieces


class _Body:
    """The body of one request, as far as it has been read."""

    def __init__(self, scope: Scope) -> None:
        self.content = bytearray()
        length = dict(scope["headers"]).get(b"content-length", b"0")
        # The server has refused what is no number.
        self.announced = int(length)

    def replay(self, receive: Receive) -> Receive:
        """Returns a function that first gives the body, and then what follows it."""
        given = False

        async def replayed() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(self.content), "more_body": False}

        return replayed


def _busy(reason: str) -> RestError:
    return RestError(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"{reason}: try again later, or ask for less at once",
        closes=True,
    )
