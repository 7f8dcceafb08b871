"""Reference predictions: what the trained model itself predicts for pairs of the holdout.

A model server must return the same for these pairs. Only ids of the holdout are read, no ratings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models import features
from models.catalogue import Catalogue
from models.columns import Columns, ColumnStorage, row_count, stream_columns
from models.contracts import RankingModel, predicts_ratings
from models.export.sample_requests import unknown_id
from models.signature_names import SCORE

REFERENCE_FILE: Final = "reference_predictions.tfrecord"
MAX_PAIRS: Final = 1000

_PAIR_COLUMNS = {
    name: tf.io.FixedLenFeature([], tf.int64)
    for name in (features.USER_INDEX, features.MOVIE_INDEX)
}


@dataclass(frozen=True)
class ReferencePredictions:
    """Predictions for n pairs of a user and a movie.

    Attributes:
        output: Name of the predicted output, `rating` or `score`.
        user_ids: Raw ids of the users, n.
        movie_ids: Raw ids of the movies, n.
        values: Predictions, float32 `[n]`.
    """

    output: str
    user_ids: list[bytes]
    movie_ids: list[bytes]
    values: np.ndarray[Any, np.dtype[np.float32]]


def holdout_files(eval_files: Iterable[str]) -> list[str]:
    """Returns the patterns of the holdout's files, which lie beside those of the eval split.

    TFX passes a Trainer only the files of the splits that it trains and evaluates on.

    Args:
        eval_files: Patterns of the eval split's files, such as `…/Split-eval/*`.

    Raises:
        ValueError: The name of a folder does not end in `eval`.
    """
    patterns = []
    for pattern in eval_files:
        folder, files = os.path.split(pattern)
        if not folder.endswith(features.EVAL):
            raise ValueError(f"{pattern}: expected files in a folder that ends in {features.EVAL}")
        patterns.append(os.path.join(folder.removesuffix(features.EVAL) + features.HOLDOUT, files))
    return patterns


def read_pairs(file_patterns: Sequence[str], storage: ColumnStorage) -> Columns:
    """Reads `user_index` and `movie_index` `[n]` of transformed examples, in canonical order."""
    return storage.canonical_order(storage.collect(stream_columns(file_patterns, _PAIR_COLUMNS)))


def reference_predictions(
    model: RankingModel, pairs: Columns, catalogue: Catalogue
) -> ReferencePredictions:
    """Returns predictions for up to `MAX_PAIRS` of the pairs, evenly spread.

    The index of unknown ids gets an id that is not in the vocabulary. For a model that predicts no
    ratings, pairs with an unknown movie are left out, since it cannot retrieve that movie.

    Args:
        model: Trained model on one device.
        pairs: `user_index`, `movie_index` `[n]`.
        catalogue: Ids by the same indices.
    """
    rates = predicts_ratings(model)
    users, movies = pairs[features.USER_INDEX], pairs[features.MOVIE_INDEX]
    eligible = np.arange(row_count(pairs))
    if not rates:
        eligible = eligible[movies < len(catalogue.movie_ids)]
    spread = np.linspace(0, len(eligible) - 1, min(MAX_PAIRS, len(eligible)))
    chosen = eligible[spread.astype(np.int64)]
    return ReferencePredictions(
        output=features.RATING if rates else SCORE,
        user_ids=_names(catalogue.user_ids, users[chosen]),
        movie_ids=_names(catalogue.movie_ids, movies[chosen]),
        values=_predict(model, users[chosen], movies[chosen]),
    )


def write(folder: str, predictions: ReferencePredictions) -> None:
    """Writes a record for each pair into the file `REFERENCE_FILE` of a folder."""
    rows = zip(predictions.user_ids, predictions.movie_ids, predictions.values, strict=True)
    with tf.io.TFRecordWriter(os.path.join(folder, REFERENCE_FILE)) as writer:
        for user_id, movie_id, value in rows:
            example = tf.train.Example()
            columns = example.features.feature
            columns[features.USER_ID].bytes_list.value.append(user_id)
            columns[features.MOVIE_ID].bytes_list.value.append(movie_id)
            columns[predictions.output].float_list.value.append(value)
            writer.write(example.SerializeToString(deterministic=True))


def read(folder: str) -> ReferencePredictions:
    """Reads what `write` wrote; without records the output is `rating`."""
    records = tf.data.TFRecordDataset(os.path.join(folder, REFERENCE_FILE))
    rows = [
        tf.train.Example.FromString(record).features.feature
        for record in records.as_numpy_iterator()
    ]
    output = SCORE if rows and SCORE in rows[0] else features.RATING
    return ReferencePredictions(
        output=output,
        user_ids=[row[features.USER_ID].bytes_list.value[0] for row in rows],
        movie_ids=[row[features.MOVIE_ID].bytes_list.value[0] for row in rows],
        values=np.array([row[output].float_list.value[0] for row in rows], np.float32),
    )


_Index = np.ndarray[Any, np.dtype[np.integer[Any]]]


def _predict(
    model: RankingModel, users: _Index, movies: _Index
) -> np.ndarray[Any, np.dtype[np.float32]]:
    if predicts_ratings(model):
        predicted = model.predict_rating(tf.constant(users), tf.constant(movies))
    else:
        vectors = zip((model.user_vectors(), model.movie_vectors()), (users, movies), strict=True)
        of_users, of_movies = (tf.gather(table, rows) for table, rows in vectors)
        predicted = model.score_of(tf.reduce_sum(of_users * of_movies, axis=1))
    values: np.ndarray[Any, np.dtype[np.float32]] = predicted.numpy()
    return values


def _names(known: list[str], index: _Index) -> list[bytes]:
    """Returns the raw ids, and an unknown id for the index after the last."""
    names = [*known, unknown_id(known)]
    return [names[position].encode() for position in index]
