"""What is sent to a model server and how its answer is read, without doing either."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np
from google.protobuf.message import DecodeError

from models import features, signature_names
from serving.client import wire_messages, wire_tensors
from serving.client.answers import Movie, Recommendation, VersionStatus
from serving.client.call_errors import WrongAnswerError
from serving.defaults import DEFAULT_MODEL
from serving.errors import ServingError

PREDICT_METHOD: Final = "/tensorflow.serving.PredictionService/Predict"
STATUS_METHOD: Final = "/tensorflow.serving.ModelService/GetModelStatus"
METHODS: Final = (PREDICT_METHOD, STATUS_METHOD)
AVAILABLE: Final = "AVAILABLE"

# An id that no user has: unknown users have seen nothing, and may be recommended everything.
_NOBODY: Final = ""
_ALL: Final = 2**31 - 1

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request, ready to send.

    Attributes:
        name: for errors: the signature, or another word for what is asked.
        method: gRPC's name of it.
        request: serialized.
        parse: a serialized answer to what was asked for.
    """

    name: str
    method: str
    request: bytes
    parse: Callable[[bytes], Answer]

    def read(self, answer: bytes) -> Answer:
        """What was asked for.

        Raises:
            WrongAnswerError: the answer is not one to this request.
        """
        try:
            return self.parse(answer)
        except DecodeError as error:
            raise WrongAnswerError(f"{self.name}: the answer is no message of its kind") from error
        except WrongAnswerError as error:
            raise WrongAnswerError(f"answer to {self.name}: {error}") from error


class ModelCalls:
    """The calls to one model."""

    def __init__(self, model: str, version: int | None, label: str | None) -> None:
        """Names the model.

        Args:
            model: its name on the server.
            version: to ask; None leaves it to the server, which takes the newest.
            label: of the version to ask, instead of its number.

        Raises:
            ServingError: no name, a negative version, or both a version and a label.
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

    def predict(
        self, user_ids: Sequence[str], movie_ids: Sequence[str]
    ) -> Call[np.ndarray[Any, np.dtype[np.float32]]]:
        """Predicted ratings float32 `[n]` for n pairs."""
        count = len(user_ids)
        if len(movie_ids) != count:
            raise ServingError(
                f"{count} user ids and {len(movie_ids)} movie ids: expected as many of each"
            )
        inputs = {
            features.USER_ID: wire_tensors.string_vector(features.USER_ID, user_ids),
            features.MOVIE_ID: wire_tensors.string_vector(features.MOVIE_ID, movie_ids),
        }
        return self._predict(
            signature_names.PREDICT,
            inputs,
            lambda outputs: wire_tensors.read_floats(outputs, features.RATING, (count,)),
        )

    def recommend(
        self, user_id: str, k: int, exclude: Collection[str]
    ) -> Call[list[Recommendation]]:
        """The best k for one user, without what is excluded."""
        inputs = {features.USER_ID: wire_tensors.string_vector(features.USER_ID, [user_id])}
        if not exclude:
            return self._ranking(signature_names.RECOMMEND, inputs, k)
        name = signature_names.EXCLUDE
        inputs[name] = wire_tensors.string_matrix(name, [list(exclude)])
        return self._ranking(signature_names.RECOMMEND_EXCLUDING, inputs, k)

    def recommend_batch(self, user_ids: Sequence[str], k: int) -> Call[list[list[Recommendation]]]:
        """The best k for each user."""
        inputs = {
            features.USER_ID: wire_tensors.string_vector(features.USER_ID, user_ids),
            signature_names.K: _k(k),
        }
        return self._predict(
            signature_names.RECOMMEND,
            inputs,
            lambda outputs: _read_rankings(outputs, len(user_ids)),
        )

    def recommend_for_ratings(
        self, ratings: Mapping[str, float], k: int
    ) -> Call[list[Recommendation]]:
        """The best k for somebody new."""
        for movie_id, stars in ratings.items():
            if not math.isfinite(stars):
                raise ServingError(f"rating of {movie_id}: given {stars}, expected stars")
        inputs = {
            features.MOVIE_ID: wire_tensors.string_matrix(features.MOVIE_ID, [list(ratings)]),
            features.RATING: wire_tensors.float_matrix([list(ratings.values())]),
        }
        return self._ranking(signature_names.RECOMMEND_FOR_RATINGS, inputs, k)

    def similar(self, movie_id: str, k: int) -> Call[list[Recommendation]]:
        """The k movies that are most like one."""
        inputs = {features.MOVIE_ID: wire_tensors.string_vector(features.MOVIE_ID, [movie_id])}
        return self._ranking(signature_names.SIMILAR, inputs, k)

    def catalogue(self) -> Call[list[Movie]]:
        """All movies that the model knows."""
        inputs = {
            features.USER_ID: wire_tensors.string_vector(features.USER_ID, [_NOBODY]),
            signature_names.K: wire_tensors.int_scalar(_ALL),
        }
        columns = (features.MOVIE_ID, features.MOVIE_TITLE)
        return self._predict(
            signature_names.RECOMMEND,
            inputs,
            lambda outputs: [
                Movie(*values) for values in _string_columns(outputs, columns, 1)[0] if values[0]
            ],
            columns,
        )

    def status(self) -> Call[list[VersionStatus]]:
        """The versions that the server knows, oldest first; of a version or label, that one alone.

        TensorFlow Serving heeds no label here: it answers with all versions.
        """
        request = wire_messages.GetModelStatusRequest()
        self._name_model(request.model_spec)
        return Call("model status", STATUS_METHOD, request.SerializeToString(), _read_status)

    def _name_model(self, spec: Any) -> None:
        """Writes the model, and the version or the label, into a ModelSpec."""
        spec.name = self._model
        if self._version is not None:
            spec.version.value = self._version
        if self._label is not None:
            spec.version_label = self._label

    def _ranking(
        self, signature: str, inputs: Mapping[str, Any], k: int
    ) -> Call[list[Recommendation]]:
        """Of one row."""
        return self._predict(
            signature,
            {**inputs, signature_names.K: _k(k)},
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
    """Whether one of the versions answers requests."""
    return any(status.state == AVAILABLE for status in statuses)


def _k(k: int) -> Any:
    if not 1 <= k <= _ALL:
        raise ServingError(f"k: given {k}, expected 1 to {_ALL}")
    return wire_tensors.int_scalar(k)


def _string_columns(outputs: Any, names: Sequence[str], rows: int) -> list[list[tuple[str, ...]]]:
    """Outputs of one shape `[rows, k]`: by row, what they have in each place."""
    columns = [wire_tensors.read_string_rows(outputs, name, rows) for name in names]
    try:
        return [list(zip(*values, strict=True)) for values in zip(*columns, strict=True)]
    except ValueError as error:
        raise WrongAnswerError(f"{' and '.join(names)}: expected one shape") from error


def _read_rankings(outputs: Any, rows: int) -> list[list[Recommendation]]:
    if not rows:
        return []
    movies = _string_columns(outputs, (features.MOVIE_ID, features.MOVIE_TITLE), rows)
    shape = (rows, len(movies[0]))
    scores = wire_tensors.read_floats(outputs, signature_names.SCORE, shape).tolist()
    # Where there are fewer than k, the rest of the row has no ids.
    return [
        [
            Recommendation(movie_id, title, score)
            for (movie_id, title), score in zip(row, row_scores, strict=True)
            if movie_id
        ]
        for row, row_scores in zip(movies, scores, strict=True)
    ]


def _read_status(answer: bytes) -> list[VersionStatus]:
    response = wire_messages.GetModelStatusResponse.FromString(answer)
    names = wire_messages.ModelVersionStatus.State
    found = [
        VersionStatus(
            entry.version,
            names.Name(entry.state) if entry.state in names.values() else names.Name(0),
            entry.status.error_message,
        )
        for entry in response.model_version_status
    ]
    return sorted(found, key=lambda status: status.version)
