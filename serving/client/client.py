"""Asking a model server, typed; importing this does not import TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
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


class RecommenderClient:
    """One model on a server that speaks TensorFlow Serving's gRPC.

    Holds one channel, which connects when it is first used, and again when the connection is lost.
    Threads may share a client. Each call is tried again, within its deadline, while the server is
    unavailable. All methods raise `serving.errors.ServingError` for wrong arguments, and its
    subclasses in `serving.client.call_errors` for calls that fail.
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
        """Does not connect yet.

        Args:
            target: `HOST:PORT`; a name with several addresses (`dns:///HOST:PORT`, or
                `ipv4:ADDRESS:PORT,ADDRESS:PORT`) is asked in turn.
            model: its name on the server.
            version: to ask; None leaves it to the server, which takes the newest.
            label: of the version to ask, instead of its number.
            tls: None connects in the clear.
            timeout: seconds that a call may take, all attempts together.
            attempts: that an unavailable server is given, 1 to 5.
            max_message_bytes: of a request or an answer.

        Raises:
            ServingError: an argument is out of bounds, or a TLS file cannot be read.
        """
        self._calls = ModelCalls(model, version, label)
        self._address = target
        self._timeout = timeout
        self._closed = False
        self._channel = open_channel(grpc, target, tls, timeout, attempts, max_message_bytes)
        self._methods = {method: self._channel.unary_unary(method) for method in METHODS}

    def predict(
        self, user_ids: Sequence[str], movie_ids: Sequence[str]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Predicted ratings in stars, float32 `[n]`, for n pairs of ids, known or not."""
        return self._answer(self._calls.predict(user_ids, movie_ids))

    def recommend(
        self, user_id: str, k: int = 10, exclude: Collection[str] = ()
    ) -> list[Recommendation]:
        """The k best movies for a user, best first, without those that they rated in training.

        Args:
            user_id: an unknown one gets the movies that are liked best.
            k: how many; there are fewer where no more are left.
            exclude: ids of more movies to leave out; unknown ones exclude nothing.
        """
        return self._answer(self._calls.recommend(user_id, k, exclude))

    def recommend_batch(self, user_ids: Sequence[str], k: int = 10) -> list[list[Recommendation]]:
        """The k best movies for each of several users, in one request."""
        return self._answer(self._calls.recommend_batch(user_ids, k))

    def similar(self, movie_id: str, k: int = 10) -> list[Recommendation]:
        """The k movies that are most like one, without itself; none for an unknown one.

        The score is the cosine.
        """
        return self._answer(self._calls.similar(movie_id, k))

    def recommend_for_ratings(
        self, ratings: Mapping[str, float], k: int = 10
    ) -> list[Recommendation]:
        """The k best movies for somebody whom the model does not know.

        Args:
            ratings: stars by movie id, taken into the range of the training ratings; unknown movies
                do not count.
            k: how many, none of them rated.
        """
        return self._answer(self._calls.recommend_for_ratings(ratings, k))

    def catalogue(self) -> list[Movie]:
        """All movies that the model knows, those first that are liked best.

        They are what `recommend` has for a user whom nobody is, if asked for all there is.
        """
        return self._answer(self._calls.catalogue())

    def model_status(self) -> list[VersionStatus]:
        """The versions of the model that the server knows, oldest first.

        A client of one version or label hears of that one alone; TensorFlow Serving heeds no label
        here, and tells of all.
        """
        return self._answer(self._calls.status())

    def wait_until_available(self, timeout: float) -> None:
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
                found = self._answer(self._calls.status(), wait.seconds_for(self._timeout))
            except CallError as error:
                wait.failed(error)
            else:
                if any_available(found):
                    return
                wait.not_yet(found)
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Ends the connection, and calls in flight; may be called again."""
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

    def _answer(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        seconds = self._timeout if timeout is None else timeout
        try:
            answer = self._methods[call.method](call.request, timeout=seconds)
        except grpc.RpcError as error:
            if self._closed:
                raise ClientClosedError from error
            raise call_error(error, self._address, call.name, seconds) from error
        except ValueError as error:
            # gRPC has no class of its own for a call on a closed channel.
            raise ClientClosedError from error
        return call.read(answer)
