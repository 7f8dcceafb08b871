"""Requests to a model server and the reading of their answers, apart from any connection."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import DecodeError

from serving.answers import (
    Explanation,
    Movie,
    RatingInterval,
    Reason,
    Recommendation,
    VersionStatus,
)
from serving.client import wire_messages, wire_tensors
from serving.client.call_errors import WrongAnswerError
from serving.defaults import DEFAULT_MODEL
from serving.errors import ServingError

PREDICT_METHOD: Final = "/tensorflow.serving.PredictionService/Predict"
STATUS_METHOD: Final = "/tensorflow.serving.ModelService/GetModelStatus"
METHODS: Final = (PREDICT_METHOD, STATUS_METHOD)
AVAILABLE: Final = "AVAILABLE"

# The contract of an exported model, as `models.signature_names` and `models.features` have it. The
# client can be installed without those.
PREDICT: Final = "predict"
PREDICT_INTERVAL: Final = "predict_interval"
RECOMMEND: Final = "recommend"
RECOMMEND_EXCLUDING: Final = "recommend_excluding"
RECOMMEND_AMONG: Final = "recommend_among"
RECOMMEND_FOR_RATINGS: Final = "recommend_for_ratings"
RECOMMEND_FOR_PROFILE: Final = "recommend_for_profile"
PREDICT_NEW_MOVIE: Final = "predict_new_movie"
SIMILAR: Final = "similar"
MOVIES: Final = "movies"
EXPLAIN: Final = "explain"
EXPLAIN_FOR_RATINGS: Final = "explain_for_ratings"
USER_ID: Final = "user_id"
MOVIE_ID: Final = "movie_id"
MOVIE_TITLE: Final = "movie_title"
MOVIE_GENRES: Final = "movie_genres"
MOVIE_YEAR: Final = "movie_year"
USER_AGE: Final = "user_age"
USER_GENDER: Final = "user_gender"
USER_OCCUPATION: Final = "user_occupation"
RATING: Final = "rating"
SCORE: Final = "score"
BASELINE: Final = "baseline"
CONTRIBUTION: Final = "contribution"
OTHERS: Final = "others"
STANDARD_DEVIATION: Final = "standard_deviation"
LIKED_PROBABILITY: Final = "liked_probability"
LOWEST_RATING: Final = "lowest_rating"
HIGHEST_RATING: Final = "highest_rating"
EXCLUDE: Final = "exclude"
AMONG_MOVIES: Final = "among_movies"
AMONG_GENRES: Final = "among_genres"
TARGET: Final = "target_movie_id"
K: Final = "k"

# An id that no user has: the model recommends all movies to an unknown user.
_NOBODY: Final = ""
_ALL: Final = 2**31 - 1

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request, ready to send.

    Attributes:
        name: Signature, or another name of the call, for errors.
        method: Full name of the gRPC method.
        request: Serialized request.
        parse: Function of a serialized answer that returns its values.
    """

    name: str
    method: str
    request: bytes
    parse: Callable[[bytes], Answer]

    def read(self, answer: bytes) -> Answer:
        """Returns the values of a serialized answer.

        Raises:
            WrongAnswerError: The answer does not belong to this request.
        """
        try:
            return self.parse(answer)
        except DecodeError as error:
            raise WrongAnswerError(f"{self.name}: the answer is no such message") from error
        except WrongAnswerError as error:
            raise WrongAnswerError(f"answer to {self.name}: {error}") from error


class ModelCalls:
    """The calls to one model."""

    def __init__(self, model: str, version: int | None, label: str | None) -> None:
        """Takes the model that the calls name.

        Args:
            model: Name of the model on the server.
            version: Version to query; None leaves it to the server, which takes the newest.
            label: Label of the version to query, in place of its number.

        Raises:
            ServingError: The name is empty, the version is negative, or both a version and a label
                are given.
        """
        if not model:
            raise ServingError(f"the model's name is empty; expected one such as {DEFAULT_MODEL}")
        if version is not None and label is not None:
            raise ServingError("a version and a label: give one of them")
        if version is not None and not 0 <= version < 2**63:
            raise ServingError(f"version {version}: expected the number of a pushed version")
        self._model = model
        self._version = version
        self._label = label

    def predict(self, user_ids: Sequence[str], movie_ids: Sequence[str]) -> Call[list[float]]:
        """Returns the call for the predicted ratings of pairs."""
        shape = (len(user_ids),)
        return self._predict(
            PREDICT,
            _pairs(user_ids, movie_ids),
            lambda outputs: wire_tensors.read_floats(outputs, RATING, shape),
        )

    def predict_interval(
        self, user_ids: Sequence[str], movie_ids: Sequence[str]
    ) -> Call[list[RatingInterval]]:
        """Returns the call for the predicted ratings of pairs and how sure they are."""
        shape = (len(user_ids),)

        def intervals(outputs: Any) -> list[RatingInterval]:
            names = [RATING, STANDARD_DEVIATION, LIKED_PROBABILITY]
            # Another server may answer without the range.
            if LOWEST_RATING in outputs:
                names += [LOWEST_RATING, HIGHEST_RATING]
            columns = (wire_tensors.read_floats(outputs, name, shape) for name in names)
            return [RatingInterval(*values) for values in zip(*columns, strict=True)]

        return self._predict(PREDICT_INTERVAL, _pairs(user_ids, movie_ids), intervals)

    def recommend(
        self, user_id: str, k: int, exclude: Collection[str]
    ) -> Call[list[Recommendation]]:
        """Returns the call for the best k for one user, without those excluded."""
        inputs = {USER_ID: wire_tensors.string_vector(USER_ID, [user_id])}
        if not exclude:
            return self._ranking(RECOMMEND, inputs, k)
        name = EXCLUDE
        inputs[name] = wire_tensors.string_matrix(name, [list(exclude)])
        return self._ranking(RECOMMEND_EXCLUDING, inputs, k)

    def recommend_among(
        self, user_id: str, movie_ids: Collection[str], genres: Collection[str], k: int
    ) -> Call[list[Recommendation]]:
        """Returns the call for the best k for one user among some movies and genres."""
        inputs = {
            USER_ID: wire_tensors.string_vector(USER_ID, [user_id]),
            AMONG_MOVIES: wire_tensors.string_matrix(AMONG_MOVIES, [list(movie_ids)]),
            AMONG_GENRES: wire_tensors.string_matrix(AMONG_GENRES, [list(genres)]),
        }
        return self._ranking(RECOMMEND_AMONG, inputs, k)

    def recommend_batch(self, user_ids: Sequence[str], k: int) -> Call[list[list[Recommendation]]]:
        """Returns the call for the best k for each user."""
        inputs = {
            USER_ID: wire_tensors.string_vector(USER_ID, user_ids),
            K: _k(k),
        }
        return self._predict(
            RECOMMEND,
            inputs,
            lambda outputs: _read_rankings(outputs, len(user_ids)),
        )

    def recommend_for_ratings(
        self, ratings: Mapping[str, float], k: int
    ) -> Call[list[Recommendation]]:
        """Returns the call for the best k for a new user."""
        return self._ranking(RECOMMEND_FOR_RATINGS, _rated(ratings), k)

    def recommend_for_profile(
        self, age: int | None, gender: str, occupation: str, k: int
    ) -> Call[list[Recommendation]]:
        """Returns the call for the best k for a new user with this profile."""
        inputs = {
            USER_AGE: wire_tensors.int_vector([_whole("age", age)]),
            USER_GENDER: wire_tensors.string_vector(USER_GENDER, [gender]),
            USER_OCCUPATION: wire_tensors.string_vector(USER_OCCUPATION, [occupation]),
        }
        return self._ranking(RECOMMEND_FOR_PROFILE, inputs, k)

    def predict_new_movie(
        self, user_ids: Sequence[str], genres: Collection[str], year: int | None, title: str
    ) -> Call[list[float]]:
        """Returns the call for the ratings of one new movie by some users."""
        count = len(user_ids)
        inputs = {
            USER_ID: wire_tensors.string_vector(USER_ID, user_ids),
            # Without users there is no row either.
            MOVIE_GENRES: wire_tensors.string_matrix(
                MOVIE_GENRES, [list(genres)] * count, len(genres)
            ),
            MOVIE_YEAR: wire_tensors.int_vector([_whole("year", year)] * count),
            MOVIE_TITLE: wire_tensors.string_vector(MOVIE_TITLE, [title] * count),
        }
        return self._predict(
            PREDICT_NEW_MOVIE,
            inputs,
            lambda outputs: wire_tensors.read_floats(outputs, RATING, (count,)),
        )

    def explain(self, user_id: str, movie_id: str, k: int) -> Call[Explanation]:
        """Returns the call for the k ratings of a user that raise a movie most."""
        inputs = {
            USER_ID: wire_tensors.string_vector(USER_ID, [user_id]),
            MOVIE_ID: wire_tensors.string_vector(MOVIE_ID, [movie_id]),
            K: _k(k),
        }
        return self._predict(EXPLAIN, inputs, _read_explanation)

    def explain_for_ratings(
        self, ratings: Mapping[str, float], movie_id: str, k: int
    ) -> Call[Explanation]:
        """Returns the call for the k of these ratings that raise a movie most."""
        target = wire_tensors.string_vector(TARGET, [movie_id])
        inputs = {**_rated(ratings), TARGET: target, K: _k(k)}
        return self._predict(EXPLAIN_FOR_RATINGS, inputs, _read_explanation)

    def similar(self, movie_id: str, k: int) -> Call[list[Recommendation]]:
        """Returns the call for the k movies most similar to one."""
        inputs = {MOVIE_ID: wire_tensors.string_vector(MOVIE_ID, [movie_id])}
        return self._ranking(SIMILAR, inputs, k)

    def movies(self, movie_ids: Sequence[str]) -> Call[list[Movie | None]]:
        """Returns the call for the movies with these ids."""
        count = len(movie_ids)
        return self._predict(
            MOVIES,
            {MOVIE_ID: wire_tensors.string_vector(MOVIE_ID, movie_ids)},
            lambda outputs: [
                Movie(movie_id, title) if movie_id else None
                for movie_id, title in zip(
                    wire_tensors.read_strings(outputs, MOVIE_ID, count),
                    wire_tensors.read_strings(outputs, MOVIE_TITLE, count),
                    strict=True,
                )
            ],
        )

    def catalogue(self) -> Call[list[Movie]]:
        """Returns the call for all movies that the model knows."""
        inputs = {
            USER_ID: wire_tensors.string_vector(USER_ID, [_NOBODY]),
            K: wire_tensors.int_scalar(_ALL),
        }
        columns = (MOVIE_ID, MOVIE_TITLE)
        return self._predict(
            RECOMMEND,
            inputs,
            lambda outputs: [
                Movie(*values) for values in _string_columns(outputs, columns, 1)[0] if values[0]
            ],
            columns,
        )

    def status(self) -> Call[list[VersionStatus]]:
        """Returns the call for the states of versions, oldest first."""
        request = wire_messages.GetModelStatusRequest()
        self._name_model(request.model_spec)
        return Call("model status", STATUS_METHOD, request.SerializeToString(), _read_status)

    def _name_model(self, spec: Any) -> None:
        """Writes the model, and the version or label, into a ModelSpec."""
        spec.name = self._model
        if self._version is not None:
            spec.version.value = self._version
        if self._label is not None:
            spec.version_label = self._label

    def _ranking(
        self, signature: str, inputs: Mapping[str, Any], k: int
    ) -> Call[list[Recommendation]]:
        """Returns the call for a ranking of one row."""
        return self._predict(
            signature,
            {**inputs, K: _k(k)},
            lambda outputs: _read_rankings(outputs, 1)[0],
        )

    def _predict(
        self,
        signature: str,
        inputs: Mapping[str, Any],
        read: Callable[[Any], Answer],
        output_filter: Sequence[str] = (),
    ) -> Call[Answer]:
        request = wire_messages.PredictRequest(output_filter=output_filter)
        self._name_model(request.model_spec)
        request.model_spec.signature_name = signature
        for name, tensor in inputs.items():
            request.inputs[name].CopyFrom(tensor)
        return Call(
            signature,
            PREDICT_METHOD,
            request.SerializeToString(),
            lambda answer: read(wire_messages.PredictResponse.FromString(answer).outputs),
        )


def any_available(statuses: Sequence[VersionStatus]) -> bool:
    """Returns whether one of the versions answers requests."""
    return any(status.state == AVAILABLE for status in statuses)


def _pairs(user_ids: Sequence[str], movie_ids: Sequence[str]) -> dict[str, Any]:
    """Returns the inputs of the signatures that predict ratings."""
    if len(movie_ids) != len(user_ids):
        raise ServingError(
            f"{len(user_ids)} user ids and {len(movie_ids)} movie ids: expected equal numbers"
        )
    return {
        USER_ID: wire_tensors.string_vector(USER_ID, user_ids),
        MOVIE_ID: wire_tensors.string_vector(MOVIE_ID, movie_ids),
    }


def _rated(ratings: Mapping[str, float]) -> dict[str, Any]:
    """Returns the inputs of a new user's ratings, one row."""
    for movie_id, stars in ratings.items():
        if not math.isfinite(stars):
            raise ServingError(f"rating of {movie_id}: given {stars}, expected stars")
    return {
        MOVIE_ID: wire_tensors.string_matrix(MOVIE_ID, [list(ratings)]),
        RATING: wire_tensors.float_matrix([list(ratings.values())]),
    }


def _whole(name: str, value: int | None) -> int:
    """Returns the number to send, 0 for an unknown one."""
    if value is not None and not 1 <= value <= _ALL:
        raise ServingError(f"{name}: given {value}, expected 1 to {_ALL}, or none")
    return value or 0


def _k(k: int) -> Any:
    if not 1 <= k <= _ALL:
        raise ServingError(f"k: given {k}, expected 1 to {_ALL}")
    return wire_tensors.int_scalar(k)


def _string_columns(outputs: Any, names: Sequence[str], rows: int) -> list[list[tuple[str, ...]]]:
    """Returns the tuples of each row of several outputs, all of one shape `[rows, k]`."""
    columns = [wire_tensors.read_string_rows(outputs, name, rows) for name in names]
    try:
        return [list(zip(*values, strict=True)) for values in zip(*columns, strict=True)]
    except ValueError as error:
        raise WrongAnswerError(f"{' and '.join(names)}: expected one shape") from error


def _read_rankings(outputs: Any, rows: int) -> list[list[Recommendation]]:
    if not rows:
        return []
    movies = _string_columns(outputs, (MOVIE_ID, MOVIE_TITLE), rows)
    width = len(movies[0])

    def numbers(name: str) -> list[list[float]]:
        values = wire_tensors.read_floats(outputs, name, (rows, width))
        return [values[row * width : (row + 1) * width] for row in range(rows)]

    # Retrieval models have no ratings, nor do models that an earlier release exported.
    ratings: Sequence[Sequence[float | None]] = (
        numbers(RATING) if RATING in outputs else [[None] * width] * rows
    )
    # A row with fewer than k movies ends with empty ids.
    return [
        [
            Recommendation(movie_id, title, score, rating)
            for (movie_id, title), score, rating in zip(row, row_scores, row_ratings, strict=True)
            if movie_id
        ]
        for row, row_scores, row_ratings in zip(movies, numbers(SCORE), ratings, strict=True)
    ]


def _read_explanation(outputs: Any) -> Explanation:
    movies = _string_columns(outputs, (MOVIE_ID, MOVIE_TITLE), 1)[0]
    ratings, contributions = (
        wire_tensors.read_floats(outputs, name, (1, len(movies))) for name in (RATING, CONTRIBUTION)
    )
    score, baseline, others = (
        wire_tensors.read_floats(outputs, name, (1,))[0] for name in (SCORE, BASELINE, OTHERS)
    )
    reasons = [
        Reason(movie_id, title, rating, contribution)
        for (movie_id, title), rating, contribution in zip(
            movies, ratings, contributions, strict=True
        )
        # A user with fewer than k ratings has empty ids at the end.
        if movie_id
    ]
    return Explanation(score, baseline, reasons, others)


def _read_status(answer: bytes) -> list[VersionStatus]:
    response = wire_messages.GetModelStatusResponse.FromString(answer)
    names = wire_messages.ModelVersionStatus.State
    statuses = [
        VersionStatus(
            entry.version,
            names.Name(entry.state) if entry.state in names.values() else names.Name(0),
            entry.status.error_message,
        )
        for entry in response.model_version_status
    ]
    return sorted(statuses, key=lambda status: status.version)
