"""The cost of a request to Predict, read off its shapes before any work is done.

The unit of work is one score, the dot product of two vectors. Other values, such as an id to look
up or a title to send, count for many scores each. Only the order of magnitude matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from models import features
from models.signature_names import (
    EXPLAIN,
    EXPLAIN_FOR_RATINGS,
    MOVIES,
    PREDICT,
    PREDICT_NEW_MOVIE,
    SCORE,
    SERVING_DEFAULT,
    K,
)

# A request of more work is heavy: about ten milliseconds of one core.
LIGHT_WORK: Final = 1_000_000
# Work of reading or writing one value of a tensor.
_VALUE_WORK: Final = 100
# Signatures of the movies that they are given, which do not score the whole catalogue.
_EXPLAINING: Final = frozenset({EXPLAIN, EXPLAIN_FOR_RATINGS})
_PAIRWISE: Final = (
    frozenset({"", SERVING_DEFAULT, PREDICT, PREDICT_NEW_MOVIE, MOVIES}) | _EXPLAINING
)
# More inputs, dimensions or outputs than any signature has. A request with more is refused when it
# is read; until then it must not keep the event loop busy.
_MOST: Final = 256
# Sizes in an answer: a string's tag and length, and a float32.
_STRING_BYTES: Final = 2
_FLOAT_BYTES: Final = 4

Sizes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Cost:
    """The cost of one request.

    Attributes:
        work: Scores and other values to compute, in scores.
        answer_bytes: Least size of the answer, where all ids are known and movies are left.
    """

    work: int
    answer_bytes: int


class RequestCosts:
    """The costs of requests to one version of a model.

    The catalogue of an exported recommender is read off its tables. Another model counts as one
    with a catalogue of one movie, and the size of its answers is not known.
    """

    def __init__(self, loaded: Any) -> None:
        """Reads the sizes of the catalogue.

        Args:
            loaded: Loaded SavedModel.
        """
        ids, titles = (getattr(loaded, name, None) for name in ("movie_ids", "movie_titles"))
        self._movies = 1
        splits = getattr(loaded, "seen_row_splits", None)
        # Most ratings of a user, which `explain` reads.
        self._most_ratings = (
            int(np.diff(splits.numpy()).max()) if isinstance(splits, tf.Variable) else 1
        )
        # Least size of k outputs of one row, by k.
        self._least_bytes: dict[str, Sizes] = {}
        self._outputs = {
            name: tuple(function.structured_outputs)
            for name, function in getattr(loaded, "signatures", {}).items()
        }
        if isinstance(ids, tf.Variable) and isinstance(titles, tf.Variable):
            self._movies = len(ids.numpy())
            floats = _FLOAT_BYTES * np.arange(self._movies + 1)
            self._least_bytes = {
                features.MOVIE_ID: _least_bytes(ids),
                features.MOVIE_TITLE: _least_bytes(titles),
                features.RATING: floats,
                SCORE: floats,
            }

    def of(self, request: predict_pb2.PredictRequest) -> Cost:
        """Returns the cost of a request, well formed or not."""
        shapes = [_sizes(tensor) for tensor in islice(request.inputs.values(), _MOST)]
        rows = max((shape[0] for shape in shapes if shape), default=1)
        values = max(map(math.prod, shapes), default=1)
        pairwise = request.model_spec.signature_name in _PAIRWISE
        scores = 0 if pairwise else rows * self._movies
        if K not in request.inputs:
            return Cost(scores + _VALUE_WORK * values, 0)
        k = min(max(_scalar(request.inputs[K]), 0), self._movies)
        if request.model_spec.signature_name in _EXPLAINING:
            return self._of_explanation(request, rows, values, k)
        wanted = list(islice(request.output_filter, _MOST)) or self._outputs.get(
            request.model_spec.signature_name, ()
        )
        row_bytes = sum(
            int(self._least_bytes[name][k]) for name in wanted if name in self._least_bytes
        )
        return Cost(scores + _VALUE_WORK * max(values, rows * k), rows * row_bytes)

    def _of_explanation(
        self, request: predict_pb2.PredictRequest, rows: int, values: int, k: int
    ) -> Cost:
        """Returns the cost of a request that explains `rows` movies by up to k ratings each."""
        if request.model_spec.signature_name == EXPLAIN:
            values = rows * self._most_ratings
        # Where a user has rated nothing, all ids and titles are empty.
        row_bytes = 2 * (_STRING_BYTES + _FLOAT_BYTES) * k
        least = 0 if request.output_filter else rows * row_bytes
        return Cost(_VALUE_WORK * max(values, rows * k), least)


def _least_bytes(table: tf.Variable) -> Sizes:
    sizes = np.sort([len(text) + _STRING_BYTES for text in table.numpy()])
    return np.concatenate([[0], np.cumsum(sizes)])


def _sizes(tensor: tensor_pb2.TensorProto) -> list[int]:
    return [max(dimension.size, 0) for dimension in islice(tensor.tensor_shape.dim, _MOST)]


def _scalar(tensor: tensor_pb2.TensorProto) -> int:
    """Returns the value of an int32 scalar; 0 if it has none, as TensorFlow does."""
    if tensor.tensor_content:
        return int.from_bytes(tensor.tensor_content[:4], "little", signed=True)
    return tensor.int_val[0] if tensor.int_val else 0
