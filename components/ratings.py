"""The raw ratings of a run, and the metrics of an exported model on them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns, ColumnStorage, read_columns, stream_columns
from models.ranking import RankingFigures, ranking_figures
from serving.pushed_model import PushedModel

_RATED = {
    features.USER_ID: tf.io.FixedLenFeature([], tf.string),
    features.MOVIE_ID: tf.io.FixedLenFeature([], tf.string),
    features.MOVIE_TITLE: tf.io.FixedLenFeature([], tf.string, default_value=""),
    features.RATING: tf.io.FixedLenFeature([], tf.float32),
}
# More than anybody rates.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Errors:
    """Root mean squared error and mean absolute error in stars, over a number of ratings."""

    ratings: int
    rmse: float
    mae: float


def read(examples: str, split: str) -> Columns:
    """Returns the ratings of a split.

    Args:
        examples: Folder of an examples artifact, on this machine or in cloud storage.
        split: Name of the split.

    Returns:
        Columns `user_id`, `movie_id` and `movie_title` (bytes) and `rating` (float32), `[n]` each.
    """
    return read_columns([os.path.join(examples, f"Split-{split}", "*")], _RATED)


def of_user(examples: str, split: str, user_id: str) -> Columns:
    """Returns what `read` does of one user; only a part of the split is in memory at a time."""
    files = [os.path.join(examples, f"Split-{split}", "*")]
    return ColumnStorage(_MOST_BYTES).collect(
        {name: values[part[features.USER_ID] == user_id.encode()] for name, values in part.items()}
        for part in stream_columns(files, _RATED)
    )


def errors(model: PushedModel, ratings: Columns) -> Errors:
    """Returns the errors of a pushed model's predictions."""
    predicted = model.predict(ratings[features.USER_ID], ratings[features.MOVIE_ID])
    difference = predicted.astype(np.float64) - ratings[features.RATING]
    return Errors(
        ratings=len(difference),
        rmse=float(np.sqrt(np.mean(np.square(difference)))),
        mae=float(np.mean(np.abs(difference))),
    )


def ranking(model: PushedModel, ratings: Columns, liked_rating: float) -> RankingFigures:
    """Returns how high a pushed model ranks the liked movies among ratings it has not seen."""
    liked = ratings[features.RATING] >= liked_rating
    users, movies = (ratings[name][liked] for name in (features.USER_ID, features.MOVIE_ID))
    by_model, _ = model.ranks(users, movies)
    return ranking_figures(users, by_model)
