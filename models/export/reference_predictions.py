"""What a trained model predicts for some of the holdout, not by way of its exported signatures.

A model server that answers for the same pairs must give the same. Of the holdout only the ids are
read, never a rating.
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
    """The predictions for n pairs.

    Attributes:
        output: what is predicted, `rating` or `score`.
        user_ids: n raw ids.
        movie_ids: n raw ids.
        values: float32 `[n]`.
    """

    output: str
    user_ids: list[bytes]
    movie_ids: list[bytes]
    values: np.ndarray[Any, np.dtype[np.float32]]


def holdout_files(eval_files: Iterable[str]) -> list[str]:
    """The patterns of the holdout's files, which lie beside those of the eval split.

    TFX tells a Trainer the files of the splits that it trains and evaluates on, and no others.

    Args:
        eval_files: such as `…/Split-eval/*`.

    Raises:
        ValueError: a folder is not called after the eval split.
    """
    found = []
    for pattern in eval_files:
        folder, files = os.path.split(pattern)
        if not folder.endswith(features.EVAL):
            raise ValueError(f"{pattern}: expected files in a folder that ends in {features.EVAL}")
        found.append(os.path.join(folder.removesuffix(features.EVAL) + features.HOLDOUT, files))
    return found


def read_pairs(file_patterns: Sequence[str], storage: ColumnStorage) -> Columns:
    """`user_index` and `movie_index` `[n]` of transformed examples, in canonical order."""
    return storage.canonical_order(storage.collect(stream_columns(file_patterns, _PAIR_COLUMNS)))


def reference_predictions(
    model: RankingModel, pairs: Columns, catalogue: Catalogue
) -> ReferencePredictions:
    """Predicts up to `MAX_PAIRS` of the pairs, evenly spread, with the model's own weights.

    An index that stands for every unknown id gets one that no vocabulary has. Pairs whose movie is
    unknown are left out for a model that only retrieves: it cannot retrieve them.

    Args:
        model: on one device, trained.
        pairs: `user_index`, `movie_index` `[n]`.
        catalogue: the same indices, by name.
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
    """Writes a record for each pair into the folder."""
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
    """What `write` wrote; `rating` of no pairs where there was none."""
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
    """The raw ids; for the index after the last one, an id that is not known."""
    names = [*known, unknown_id(known)]
    return [names[position].encode() for position in index]
