"""The client of a model server for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from serving.answers import Explanation, Movie, RatingInterval, Recommendation, VersionStatus
from serving.client.base_client import POLL_SECONDS, BaseClient, Wait
from serving.client.call_errors import CallError, ClientClosedError, call_error
from serving.client.model_calls import Answer, Call, any_available
from serving.client.retries import Attempts


class AsyncRecommenderClient(BaseClient):
    """The asyncio twin of `RecommenderClient`: the same methods, to be awaited.

    It belongs to the event loop that is running when it is made. Any number of calls may be awaited
    at once. A call that is cancelled is cancelled on the server too.
    """

    async def predict(self, user_ids: Sequence[str], movie_ids: Sequence[str]) -> list[float]:
        """Returns the predicted ratings; see `RecommenderClient.predict`."""
        return await self._answer(self._calls.predict(user_ids, movie_ids))

    async def predict_interval(
        self, user_ids: Sequence[str], movie_ids: Sequence[str]
    ) -> list[RatingInterval]:
        """Returns ratings and how sure they are; see `RecommenderClient.predict_interval`."""
        return await self._answer(self._calls.predict_interval(user_ids, movie_ids))

    async def recommend(
        self, user_id: str, k: int = 10, exclude: Collection[str] = ()
    ) -> list[Recommendation]:
        """Returns the best movies for a user; see `RecommenderClient.recommend`."""
        return await self._answer(self._calls.recommend(user_id, k, exclude))

    async def recommend_among(
        self,
        user_id: str,
        movie_ids: Collection[str] = (),
        genres: Collection[str] = (),
        k: int = 10,
    ) -> list[Recommendation]:
        """Returns the best movies of an allow-list; see `RecommenderClient.recommend_among`."""
        return await self._answer(self._calls.recommend_among(user_id, movie_ids, genres, k))

    async def recommend_batch(
        self, user_ids: Sequence[str], k: int = 10
    ) -> list[list[Recommendation]]:
        """Returns the best movies for several users; see `RecommenderClient.recommend_batch`."""
        return await self._answer(self._calls.recommend_batch(user_ids, k))

    async def similar(self, movie_id: str, k: int = 10) -> list[Recommendation]:
        """Returns the most similar movies; see `RecommenderClient.similar`."""
        return await self._answer(self._calls.similar(movie_id, k))

    async def recommend_for_ratings(
        self, ratings: Mapping[str, float], k: int = 10
    ) -> list[Recommendation]:
        """Returns movies for a new user; see `RecommenderClient.recommend_for_ratings`."""
        return await self._answer(self._calls.recommend_for_ratings(ratings, k))

    async def recommend_for_profile(
        self, age: int | None = None, gender: str = "", occupation: str = "", k: int = 10
    ) -> list[Recommendation]:
        """Returns movies for a profile; see `RecommenderClient.recommend_for_profile`."""
        return await self._answer(self._calls.recommend_for_profile(age, gender, occupation, k))

    async def predict_new_movie(
        self,
        user_ids: Sequence[str],
        genres: Collection[str] = (),
        year: int | None = None,
        title: str = "",
    ) -> list[float]:
        """Returns the ratings of a new movie; see `RecommenderClient.predict_new_movie`."""
        return await self._answer(self._calls.predict_new_movie(user_ids, genres, year, title))

    async def explain(self, user_id: str, movie_id: str, k: int = 10) -> Explanation:
        """Returns what raises a movie for a user; see `RecommenderClient.explain`."""
        return await self._answer(self._calls.explain(user_id, movie_id, k))

    async def explain_for_ratings(
        self, ratings: Mapping[str, float], movie_id: str, k: int = 10
    ) -> Explanation:
        """Returns what raises a movie; see `RecommenderClient.explain_for_ratings`."""
        return await self._answer(self._calls.explain_for_ratings(ratings, movie_id, k))

    async def movies(self, movie_ids: Sequence[str]) -> list[Movie | None]:
        """Returns the movie of each id; see `RecommenderClient.movies`."""
        return await self._answer(self._calls.movies(movie_ids))

    async def catalogue(self) -> list[Movie]:
        """Returns all movies; see `RecommenderClient.catalogue`."""
        return await self._answer(self._calls.catalogue())

    async def model_status(self) -> list[VersionStatus]:
        """Returns the versions on the server; see `RecommenderClient.model_status`."""
        return await self._answer(self._calls.status())

    async def wait_until_available(self, timeout: float) -> None:
        """Waits for the server; see `RecommenderClient.wait_until_available`."""
        wait = Wait(self._address, timeout)
        while True:
            try:
                statuses = await self._answer(
                    self._calls.status(), wait.call_timeout(self._timeout)
                )
            except CallError as error:
                wait.failed(error)
            else:
                if any_available(statuses):
                    return
                wait.not_yet(statuses)
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Closes the connection and ends calls in flight; may be called again."""
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

    def _library(self) -> Any:
        # A channel made outside of an event loop could not be used in one.
        asyncio.get_running_loop()
        return grpc.aio

    async def _answer(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        seconds = self._timeout if timeout is None else timeout
        attempts = Attempts(self._attempts, seconds)
        while True:
            try:
                left = attempts.seconds_left()
                answer = await self._methods[call.method](call.request, timeout=left)
            except grpc.RpcError as error:
                pause = attempts.pause_after(error)
                if pause is None:
                    raise call_error(error, self._address, call.name, seconds) from error
            except grpc.aio.UsageError as error:
                raise ClientClosedError from error
            except asyncio.CancelledError as error:
                # Closing the client cancels calls in flight; their task itself is not cancelled.
                if self._closed and not _is_cancelled():
                    raise ClientClosedError from error
                raise
            else:
                return call.read(answer)
            await asyncio.sleep(pause)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
