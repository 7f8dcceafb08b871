"""A model server of official stubs, with computed answers and failures on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

# Best first for everybody.
MOVIES = [
    ("50", "Star Wars (1977)"),
    ("29", "Batman Forever (1995)"),
    ("181", "Return of the Jedi (1983)"),
    ("231", "Batman Returns (1992)"),
    ("268", "Chasing Amy (1997)"),
    ("246", "Chasing Amy (1997)"),
]
SCORES = {movie_id: 5.0 - rank / 2 for rank, (movie_id, _) in enumerate(MOVIES)}
State = get_model_status_pb2.ModelVersionStatus.State


def tensors(**arrays: Any) -> predict_pb2.PredictResponse:
    response = predict_pb2.PredictResponse()
    for name, array in arrays.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
    return response


def ranking(rows: list[list[str]], k: int) -> predict_pb2.PredictResponse:
    """Rows of movie ids, filled up to k as the exported model does."""
    padded = [[*row, *[""] * (k - len(row))] for row in rows]
    titles = {"": "", **dict(MOVIES)}
    return tensors(
        movie_id=np.array(padded, object).reshape(len(rows), k),
        movie_title=np.array([[titles[id_] for id_ in row] for row in padded], object).reshape(
            len(rows), k
        ),
        score=np.array(
            [[SCORES.get(id_, -np.inf) for id_ in row] for row in padded], np.float32
        ).reshape(len(rows), k),
    )


@dataclass
class FakeModel(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Ratings are user id + movie id / 1000; a user has seen the movies of `seen`.

    Attributes:
        failures: Code and text of the next calls' errors, one each.
        answer: Function that replaces the right answer.
        hold: Event that calls wait for.
        requests: Received requests, oldest first.
        peers: Senders of the requests.
        states: States of versions, by call; the last one stays.
        labels: Version numbers by label.
        lacking: Signatures that the model does not have.
    """

    seen: dict[str, set[str]] = field(default_factory=dict)
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    answer: Callable[[predict_pb2.PredictRequest], Any] | None = None
    hold: threading.Event | None = None
    requests: list[Any] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    states: list[dict[int, tuple[int, str]]] = field(default_factory=lambda: [{}])
    labels: dict[str, int] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)

    def Predict(self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._meet(request, context)
        if self.answer is not None:
            return self.answer(request)
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        signature = request.model_spec.signature_name
        if signature in self.lacking:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{signature} not found")
        response = getattr(self, f"_{signature}")(**inputs)
        for name in set(response.outputs) - set(request.output_filter or response.outputs):
            del response.outputs[name]
        return response

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._meet(request, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        states = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        asked = {
            "version": request.model_spec.version.value,
            "version_label": self.labels.get(request.model_spec.version_label),
        }.get(request.model_spec.WhichOneof("version_choice"))
        if asked is not None:
            if asked not in states:
                context.abort(grpc.StatusCode.NOT_FOUND, f"could not find version {asked}")
            states = {asked: states[asked]}
        for version, (state, error) in states.items():
            entry = response.model_version_status.add(version=version, state=state)
            entry.status.error_message = error
        return response

    def _meet(self, request: Any, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.peers.append(context.peer())
        if self.hold is not None:
            self.hold.wait(30)
        if self.failures:
            context.abort(*self.failures.pop(0))

    def _predict(self, user_id: Any, movie_id: Any) -> Any:
        ratings = [
            float(user) + float(movie) / 1000 for user, movie in zip(user_id, movie_id, strict=True)
        ]
        return tensors(rating=np.array(ratings, np.float32))

    def _predict_interval(self, user_id: Any, movie_id: Any) -> Any:
        """Half a star of standard deviation, liked with a quarter, and at least 1 and at most 9."""
        response = self._predict(user_id, movie_id)
        for name, value in (
            ("standard_deviation", 0.5),
            ("liked_probability", 0.25),
            ("lowest_rating", 1),
            ("highest_rating", 9),
        ):
            each = np.full(len(user_id), value, np.float32)
            response.outputs[name].CopyFrom(tf.make_tensor_proto(each))
        return response

    def _recommend(self, user_id: Any, k: Any) -> Any:
        return self._best([self.seen.get(user.decode(), set()) for user in user_id], k)

    def _recommend_excluding(self, user_id: Any, k: Any, exclude: Any) -> Any:
        return self._best(
            [
                self.seen.get(user.decode(), set()) | {movie.decode() for movie in row}
                for user, row in zip(user_id, exclude, strict=True)
            ],
            k,
        )

    def _recommend_among(self, user_id: Any, k: Any, among_movies: Any, among_genres: Any) -> Any:
        """Every movie of the genre Action is a sequel."""
        rows = []
        for user, movies, genres in zip(user_id, among_movies, among_genres, strict=True):
            sequels = {"181", "231"} if b"Action" in genres else set()
            allowed = {movie.decode() for movie in movies} | sequels
            rows.append((set(SCORES) - allowed) | self.seen.get(user.decode(), set()))
        return self._best(rows, k)

    def _recommend_for_ratings(self, movie_id: Any, rating: Any, k: Any) -> Any:
        assert movie_id.shape == rating.shape
        return self._best([{movie.decode() for movie in row} for row in movie_id], k)

    def _recommend_for_profile(
        self, user_age: Any, user_gender: Any, user_occupation: Any, k: Any
    ) -> Any:
        """Children are not shown the film of 1977."""
        assert user_age.shape == user_gender.shape == user_occupation.shape == (1,)
        return self._best([{"50"} if 0 < age < 18 else set() for age in user_age], k)

    def _predict_new_movie(
        self, user_id: Any, movie_genres: Any, movie_year: Any, movie_title: Any
    ) -> Any:
        """A rating is the user's number, and a quarter more for each genre."""
        count = len(user_id)
        assert len(movie_genres) == count
        assert movie_year.shape == movie_title.shape == (count,)
        genres = movie_genres.shape[1]
        return tensors(rating=np.array([float(user) + genres / 4 for user in user_id], np.float32))

    def _similar(self, movie_id: Any, k: Any) -> Any:
        rows = [
            [id_ for id_ in SCORES if id_ != movie.decode()] if movie.decode() in SCORES else []
            for movie in movie_id
        ]
        return self._ranking(rows, k)

    def _movies(self, movie_id: Any) -> Any:
        titles = dict(MOVIES)
        known = [id_.decode() if id_.decode() in titles else "" for id_ in movie_id]
        return tensors(
            movie_id=np.array(known, object),
            movie_title=np.array([titles.get(id_, "") for id_ in known], object),
        )

    def _explain(self, user_id: Any, movie_id: Any, k: Any) -> Any:
        return self._explanation(sorted(self.seen.get(user_id[0].decode(), set())), k)

    def _explain_for_ratings(self, movie_id: Any, rating: Any, target_movie_id: Any, k: Any) -> Any:
        assert movie_id.shape == rating.shape
        assert len(target_movie_id) == 1
        return self._explanation([movie.decode() for movie in movie_id[0]], k)

    def _explanation(self, rated: list[str], k: Any) -> Any:
        """Each rating, of five stars, adds 0.25 to 3; the others add 0.5."""
        width = min(int(k), len(MOVIES))
        listed = rated[:width]
        empty = width - len(listed)
        return tensors(
            movie_id=np.array([[*listed, *[""] * empty]], object).reshape(1, width),
            movie_title=np.array(
                [[*(dict(MOVIES)[movie] for movie in listed), *[""] * empty]], object
            ).reshape(1, width),
            rating=np.array([[5.0] * len(listed) + [0.0] * empty], np.float32),
            contribution=np.array([[0.25] * len(listed) + [0.0] * empty], np.float32),
            score=np.array([3.5 + 0.25 * len(listed)], np.float32),
            baseline=np.array([3.0], np.float32),
            others=np.array([0.5], np.float32),
        )

    def _best(self, excluded: list[set[str]], k: Any) -> Any:
        return self._ranking([[id_ for id_ in SCORES if id_ not in row] for row in excluded], k)

    def _ranking(self, rows: list[list[str]], k: Any) -> Any:
        assert k.shape == ()
        assert k.dtype == np.int32
        bounded = min(int(k), len(MOVIES))
        return ranking([row[:bounded] for row in rows], bounded)


@contextmanager
def served(
    model: FakeModel,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[int]:
    """The port of a server on loopback."""
    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(
            threads,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 64 * 1024 * 1024),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(model, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, server)
        address = f"127.0.0.1:{port}"
        bound = (
            server.add_secure_port(address, credentials)
            if credentials
            else server.add_insecure_port(address)
        )
        server.start()
        try:
            yield bound
        finally:
            if model.hold is not None:
                model.hold.set()
            server.stop(None).wait()
