"""SavedModels that are small, and whose answers can be computed without them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from models import features, signature_names
from models.export.warm_up import WARM_UP_FILE

MODEL: Final = "movierec"
MOVIES: Final = 20
# Signatures that a recommender does not have: one that refuses what it is given, one that takes its
# time, and one of all the types that a recommender has no use for.
POSITIVE: Final = "positive"
SLOW: Final = "slow"
TYPES: Final = "types"
# However hostile the request.
MAX_SLOW_SECONDS: Final = 10.0

Array = np.ndarray[Any, np.dtype[Any]]


def rating(users: list[bytes], movies: list[bytes], bias: float = 0.0) -> Array:
    """What `predict` is to answer, float32 `[B]`, by eighths, which are exact."""
    lengths = [
        (3 * len(user) + 7 * len(movie)) % 41 for user, movie in zip(users, movies, strict=True)
    ]
    return np.float32(bias) + np.array(lengths, np.float32) / np.float32(8)


def recommended(users: list[bytes], k: int) -> dict[str, Array]:
    """What `recommend` is to answer: from the movie of the length of the user's id onwards."""
    k = min(max(k, 0), MOVIES)
    rows = [[(len(user) + place) % MOVIES for place in range(k)] for user in users]
    shape = (len(users), k)
    ids = [b"%d" % movie for row in rows for movie in row]
    titles = [_title(movie) for row in rows for movie in row]
    return {
        features.MOVIE_ID: np.array(ids, object).reshape(shape),
        features.MOVIE_TITLE: np.array(titles, object).reshape(shape),
        signature_names.SCORE: np.broadcast_to(-np.arange(k, dtype=np.float32), shape),
    }


class TinyModel(tf.Module):
    """The signatures of a recommender, and a few more."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias = tf.Variable(bias, trainable=False, dtype=tf.float32)
        # The tables of an exported recommender.
        self.movie_ids = tf.Variable([str(movie) for movie in range(MOVIES)], trainable=False)
        self.movie_titles = tf.Variable([_title(movie) for movie in range(MOVIES)], trainable=False)

    def signatures(self) -> dict[str, Any]:
        strings = tf.TensorSpec([None], tf.string)
        examples = tf.TensorSpec([None], tf.string, name="examples")
        k = tf.TensorSpec([], tf.int32)
        return {
            signature_names.SERVING_DEFAULT: self.rate_examples.get_concrete_function(examples),
            signature_names.PREDICT: self.predict.get_concrete_function(strings, strings),
            signature_names.RECOMMEND: self.recommend.get_concrete_function(strings, k),
            POSITIVE: self.positive.get_concrete_function(tf.TensorSpec([None], tf.float32)),
            SLOW: self.slow.get_concrete_function(tf.TensorSpec([], tf.float64)),
            TYPES: self.types.get_concrete_function(
                tf.TensorSpec([None, 2], tf.int64), tf.TensorSpec([None], tf.bool)
            ),
        }

    @tf.function
    def predict(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        as_many = tf.debugging.assert_equal(
            tf.shape(user_id), tf.shape(movie_id), "user_id and movie_id: expected as many rows"
        )
        # Or else the sum may be the first to fail, in other words.
        with tf.control_dependencies([as_many]):
            users, movies = tf.strings.length(user_id), tf.strings.length(movie_id)
        lengths = (3 * users + 7 * movies) % 41
        return {features.RATING: self.bias + tf.cast(lengths, tf.float32) / 8}

    @tf.function
    def rate_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        one = tf.io.FixedLenFeature([], tf.string)
        ids = tf.io.parse_example(examples, {features.USER_ID: one, features.MOVIE_ID: one})
        return self.predict(ids[features.USER_ID], ids[features.MOVIE_ID])

    @tf.function
    def recommend(self, user_id: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        places = tf.range(tf.clip_by_value(k, 0, MOVIES))
        movies = (tf.strings.length(user_id)[:, tf.newaxis] + places) % MOVIES
        return {
            features.MOVIE_ID: tf.strings.as_string(movies),
            features.MOVIE_TITLE: tf.gather(self.movie_titles, movies),
            signature_names.SCORE: tf.broadcast_to(-tf.cast(places, tf.float32), tf.shape(movies)),
        }

    @tf.function
    def positive(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.debugging.assert_positive(x, "x: expected positive numbers")
        return {"x": x}

    @tf.function
    def slow(self, seconds: tf.Tensor) -> dict[str, tf.Tensor]:
        end = tf.timestamp() + tf.minimum(seconds, tf.constant(MAX_SLOW_SECONDS, tf.float64))
        turns = tf.constant(0)
        while tf.timestamp() < end:
            turns += 1
        return {"turns": turns}

    @tf.function
    def types(self, numbers: tf.Tensor, flags: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "sums": tf.reduce_sum(numbers, axis=1),
            "negated": tf.logical_not(flags),
            "halves": tf.cast(numbers, tf.float64) / 2,
        }


def _title(movie: int) -> str:
    return f"Täxi №{movie}"


def save(folder: Path, bias: float = 0.0) -> None:
    model = TinyModel(bias)
    tf.saved_model.save(model, str(folder), signatures=model.signatures())


def push(model: Path, base_path: Path, version: int) -> Path:
    """Pushes a version in one step: it is copied under another name and renamed."""
    base_path.mkdir(exist_ok=True)
    staged = base_path / f"staged-{version}"
    shutil.copytree(model, staged)
    return staged.rename(base_path / str(version))


def predict_request(
    signature: str, inputs: dict[str, Any], output_filter: tuple[str, ...] = (), **spec: Any
) -> predict_pb2.PredictRequest:
    """For this model, unless `name` says otherwise; `version` and `version_label` are others."""
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name = spec.get("name", MODEL)
    request.model_spec.signature_name = signature
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "version_label" in spec:
        request.model_spec.version_label = spec["version_label"]
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def pairs(users: list[bytes], movies: list[bytes], **spec: Any) -> predict_pb2.PredictRequest:
    return predict_request(
        signature_names.PREDICT,
        {
            features.USER_ID: np.array(users, object),
            features.MOVIE_ID: np.array(movies, object),
        },
        **spec,
    )


def write_warm_up(model: Path, *requests: predict_pb2.PredictRequest) -> Path:
    path = model / WARM_UP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
    return path
