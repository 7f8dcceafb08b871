"""The blocking client of a model server."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from serving.answers import Explanation, Movie, RatingInterval, Recommendation, VersionStatus
from serving.client.base_client import POLL_SECONDS, BaseClient, Wait
from serving.client.call_errors import CallError, ClientClosedError, call_error
from serving.client.model_calls import Answer, Call, any_available
from serving.client.retries import Attempts


class RecommenderClient(BaseClient):
    """The blocking client; threads may share it."""

    def predict(self, user_ids: Sequence[str], movie_ids: Sequence[str]) -> list[float]:
        """Returns the predicted rating of each pair, in stars.

        Args:
            user_ids: Raw ids `[n]`, known to the model or not.
            movie_ids: Raw ids `[n]`, known to the model or not.
        """
        return self._answer(self._calls.predict(user_ids, movie_ids))

    def predict_interval(
        self, user_ids: Sequence[str], movie_ids: Sequence[str]
    ) -> list[RatingInterval]:
        """Returns the predicted rating of each pair and how sure it is, in stars.

        Args:
            user_ids: Raw ids `[n]`, known to the model or not.
            movie_ids: Raw ids `[n]`, known to the model or not.

        Raises:
            RequestRefusedError: FAILED_PRECONDITION; the model does not say how sure it is, or
                was exported by a release before this method.
        """
        return self._answer(self._calls.predict_interval(user_ids, movie_ids))

    def recommend(
        self, user_id: str, k: int = 10, exclude: Collection[str] = ()
    ) -> list[Recommendation]:
        """Returns the k best movies that a user did not rate in training, best first.

        Args:
            user_id: Raw id; an unknown user gets the movies that are liked best.
            k: Number of movies; there are fewer if no more are left.
            exclude: Ids of more movies to leave out; unknown ids exclude nothing.
        """
        return self._answer(self._calls.recommend(user_id, k, exclude))

    def recommend_among(
        self,
        user_id: str,
        movie_ids: Collection[str] = (),
        genres: Collection[str] = (),
        k: int = 10,
    ) -> list[Recommendation]:
        """Returns the k best movies of an allow-list that a user did not rate in training.

        Args:
            user_id: Raw id; an unknown user gets the movies that are liked best.
            movie_ids: Ids of allowed movies; unknown ids allow nothing.
            genres: Genres whose movies are allowed too, spelt as in the data.
            k: Number of movies; there are fewer if no more are allowed.

        Raises:
            RequestRefusedError: FAILED_PRECONDITION; the model was exported by a release before
                this method.
        """
        return self._answer(self._calls.recommend_among(user_id, movie_ids, genres, k))

    def recommend_batch(self, user_ids: Sequence[str], k: int = 10) -> list[list[Recommendation]]:
        """Returns the k best movies for each of several users, in one request."""
        return self._answer(self._calls.recommend_batch(user_ids, k))

    def similar(self, movie_id: str, k: int = 10) -> list[Recommendation]:
        """Returns the k movies most similar to one, by cosine; none for an unknown movie."""
        return self._answer(self._calls.similar(movie_id, k))

    def recommend_for_ratings(
        self, ratings: Mapping[str, float], k: int = 10
    ) -> list[Recommendation]:
        """Returns the k best movies for a person whom the model does not know.

        Args:
            ratings: Stars by movie id, cut to the range of the training ratings; unknown movies
                do not count.
            k: Number of movies, none of them rated.
        """
        return self._answer(self._calls.recommend_for_ratings(ratings, k))

    def recommend_for_profile(
        self, age: int | None = None, gender: str = "", occupation: str = "", k: int = 10
    ) -> list[Recommendation]:
        """Returns the k best movies for a person of whom only a profile is known.

        What is left out, or is none that the training data have, counts as the mean.

        Args:
            age: Age in years.
            gender: Gender, spelt as in the data, such as `F`.
            occupation: Occupation, spelt as in the data, such as `writer`.
            k: Number of movies.

        Raises:
            RequestRefusedError: FAILED_PRECONDITION; the model does not learn from side features,
                or the data have none of users.
        """
        return self._answer(self._calls.recommend_for_profile(age, gender, occupation, k))

    def predict_new_movie(
        self,
        user_ids: Sequence[str],
        genres: Collection[str] = (),
        year: int | None = None,
        title: str = "",
    ) -> list[float]:
        """Returns the ratings that users would give a movie that nobody has rated, in stars.

        What is left out, or is none that the training data have, counts as the mean.

        Args:
            user_ids: Raw ids `[n]`, known to the model or not.
            genres: Genres of the movie, spelt as in the data.
            year: Year of the movie; None takes the one in the title, as in `Heat (1995)`.
            title: Title of the movie; nothing else of it counts.

        Raises:
            RequestRefusedError: FAILED_PRECONDITION; the model does not learn from side features,
                or the data have none of movies.
        """
        return self._answer(self._calls.predict_new_movie(user_ids, genres, year, title))

    def explain(self, user_id: str, movie_id: str, k: int = 10) -> Explanation:
        """Returns which ratings of a user in the training data raise a movie, and by how much.

        Args:
            user_id: Raw id; an unknown user has no ratings.
            movie_id: Raw id of the movie to explain.
            k: Number of ratings; there are fewer if the user has no more.

        Raises:
            RequestRefusedError: FAILED_PRECONDITION; the model was exported by a release before
                this method.
        """
        return self._answer(self._calls.explain(user_id, movie_id, k))

    def explain_for_ratings(
        self, ratings: Mapping[str, float], movie_id: str, k: int = 10
    ) -> Explanation:
        """Returns which ratings of a person whom the model does not know raise a movie.

        Args:
            ratings: Stars by movie id, as in `recommend_for_ratings`.
            movie_id: Raw id of the movie to explain.
            k: Number of ratings.
        """
        return self._answer(self._calls.explain_for_ratings(ratings, movie_id, k))

    def movies(self, movie_ids: Sequence[str]) -> list[Movie | None]:
        """Returns the movie of each id, None for one that the model does not know.

        Args:
            movie_ids: Raw ids `[n]`.

        Raises:
            RequestRefusedError: FAILED_PRECONDITION; the model was exported by a release before
                this method.
        """
        return self._answer(self._calls.movies(movie_ids))

    def catalogue(self) -> list[Movie]:
        """Returns all movies that the model knows, the best liked first, in one message."""
        return self._answer(self._calls.catalogue())

    def model_status(self) -> list[VersionStatus]:
        """Returns the versions of the model on the server, oldest first.

        A client of one version or label gets that one alone. TensorFlow Serving ignores the label
        here and returns all versions.
        """
        return self._answer(self._calls.status())

    def wait_until_available(self, timeout: float) -> None:
        """Returns once the server answers and the client's version, or any, is available.

        TensorFlow Serving does not say which version has a label: for a client of a label, any
        available version ends the wait.

        Args:
            timeout: Seconds to wait.

        Raises:
            DeadlineExceededError: The time is over; the message says what was in the way.
            CallError: The server answers that waiting will not help.
        """
        wait = Wait(self._address, timeout)
        while True:
            try:
                statuses = self._answer(self._calls.status(), wait.call_timeout(self._timeout))
            except CallError as error:
                wait.failed(error)
            else:
                if any_available(statuses):
                    return
                wait.not_yet(statuses)
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Closes the connection and ends calls in flight; may be called again."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _library(self) -> Any:
        return grpc

    def _answer(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        seconds = self._timeout if timeout is None else timeout
        attempts = Attempts(self._attempts, seconds)
        while True:
            try:
                answer = self._methods[call.method](call.request, timeout=attempts.seconds_left())
            except grpc.RpcError as error:
                if self._closed:
                    raise ClientClosedError from error
                pause = attempts.pause_after(error)
                if pause is None:
                    raise call_error(error, self._address, call.name, seconds) from error
            except ValueError as error:
                # gRPC has no class of its own for a call on a closed channel.
                raise ClientClosedError from error
            else:
                return call.read(answer)
            time.sleep(pause)
