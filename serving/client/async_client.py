"""Asking a model server from an event loop; importing this does not import TensorFlow."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
import numpy as np

from serving.client.answers import Movie, Recommendation, VersionStatus
from serving.client.call_errors import CallError, ClientClosedError, call_error
from serving.client.channels import open_channel
from serving.client.model_calls import METHODS, Answer, Call, ModelCalls, any_available
from serving.client.waiting import POLL_SECONDS, Wait
from serving.defaults import (
    DEFAULT_MODEL,
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT,
    MAX_ATTEMPTS,
    MAX_MESSAGE_BYTES,
)
from serving.tls import ClientTls


class AsyncRecommenderClient:
    """The twin of `serving.client.client.RecommenderClient`: what it says holds here too.

    Belongs to the event loop that runs when it is made. Any number of calls may be awaited at once;
    one that is cancelled is given up on the server too.
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
        """Does not connect yet; the arguments are those of `RecommenderClient`.

        Raises:
            ServingError: an argument is out of bounds, or a TLS file cannot be read.
            RuntimeError: no event loop runs.
        """
        asyncio.get_running_loop()
        self._calls = ModelCalls(model, version, label)
        self._address = target
        self._timeout = timeout
        self._closed = False
        self._channel = open_channel(grpc.aio, target, tls, timeout, attempts, max_message_bytes)
        self._methods = {method: self._channel.unary_unary(method) for method in METHODS}

    async def predict(
        self, user_ids: Sequence[str], movie_ids: Sequence[str]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Predicted ratings in stars, float32 `[n]`, for n pairs of ids, known or not."""
        return await self._answer(self._calls.predict(user_ids, movie_ids))

    async def recommend(
        self, user_id: str, k: int = 10, exclude: Collection[str] = ()
    ) -> list[Recommendation]:
        """The k best movies for a user, without those rated in training or excluded."""
        return await self._answer(self._calls.recommend(user_id, k, exclude))

    async def recommend_batch(
        self, user_ids: Sequence[str], k: int = 10
    ) -> list[list[Recommendation]]:
        """The k best movies for each of several users, in one request."""
        return await self._answer(self._calls.recommend_batch(user_ids, k))

    async def similar(self, movie_id: str, k: int = 10) -> list[Recommendation]:
        """The k movies that are most like one, without itself; none for an unknown one."""
        return await self._answer(self._calls.similar(movie_id, k))

    async def recommend_for_ratings(
        self, ratings: Mapping[str, float], k: int = 10
    ) -> list[Recommendation]:
        """The k best movies for somebody whom the model does not know, from stars by movie id."""
        return await self._answer(self._calls.recommend_for_ratings(ratings, k))

    async def catalogue(self) -> list[Movie]:
        """All movies that the model knows, those first that are liked best."""
        return await self._answer(self._calls.catalogue())

    async def model_status(self) -> list[VersionStatus]:
        """The versions of the model that the server knows, oldest first.

        A client of one version or label hears of that one alone; TensorFlow Serving heeds no label
        here, and tells of all.
        """
        return await self._answer(self._calls.status())

    async def wait_until_available(self, timeout: float) -> None:
        """Returns when the server answers and the version to ask, or any, is available.

        By a label, TensorFlow Serving does not say which one that is: any will do.

        Args:
            timeout: seconds.

        Raises:
            DeadlineExceededError: it is not so in time; says what was in the way.
            CallError: it will not be so, whatever the time.
        """
        wait = Wait(self._address, timeout)
        while True:
            try:
                found = await self._answer(self._calls.status(), wait.seconds_for(self._timeout))
            except CallError as error:
                wait.failed(error)
            else:
                if any_available(found):
                    return
                wait.not_yet(found)
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Ends the connection, and calls in flight; may be called again."""
        self._closed = True
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _answer(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        seconds = self._timeout if timeout is None else timeout
        try:
            answer = await self._methods[call.method](call.request, timeout=seconds)
        except grpc.RpcError as error:
            raise call_error(error, self._address, call.name, seconds) from error
        except grpc.aio.UsageError as error:
            raise ClientClosedError from error
        except asyncio.CancelledError as error:
            # Closing cancels what is in flight; only who cancels the task itself means the task.
            if self._closed and not _is_cancelled():
                raise ClientClosedError from error
            raise
        return call.read(answer)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
