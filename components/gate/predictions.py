"""The errors of an exported model on ratings, by the model's own signature."""

from __future__ import annotations

from typing import Final

import numpy as np
import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.gate.interval import Vector
from models import features, signature_names
from models.columns import Columns, read_columns, row_count

_COLUMNS: Final = {
    features.USER_ID: tf.io.FixedLenFeature([], tf.string),
    features.MOVIE_ID: tf.io.FixedLenFeature([], tf.string),
    features.RATING: tf.io.FixedLenFeature([], tf.float32),
}
_ROWS_AT_ONCE: Final = 8_192


def holdout(examples: list[types.Artifact]) -> Columns:
    """Returns the user id, the movie id and the rating of each row of the holdout."""
    uris = artifact_utils.get_split_uris(examples, features.HOLDOUT)
    rows = read_columns([io_utils.all_files_pattern(uri) for uri in uris], _COLUMNS)
    # As bytes of one width, ids take a tenth of the memory and sort many times as fast.
    return {
        name: values.astype(bytes) if values.dtype == object else values
        for name, values in rows.items()
    }


def errors(saved_model: str, ratings: Columns) -> Vector:
    """Returns prediction less rating in stars, float64 `[n]`.

    Args:
        saved_model: Folder of an exported model that predicts ratings.
        ratings: Columns `user_id`, `movie_id` and `rating`, `[n]` each.
    """
    model = tf.saved_model.load(saved_model)
    predict = model.signatures[signature_names.PREDICT]
    parts = []
    for start in range(0, row_count(ratings), _ROWS_AT_ONCE):
        users, movies, stars = (ratings[name][start : start + _ROWS_AT_ONCE] for name in _COLUMNS)
        answer = predict(user_id=tf.constant(users), movie_id=tf.constant(movies))
        parts.append(answer[features.RATING].numpy().astype(np.float64) - stars)
    return np.concatenate(parts)
