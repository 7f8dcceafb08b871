"""The Transform step: vocabularies and statistics of the training ratings."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from models import features
from models.options import TransformOptions

# Upper edges of the activity slices: ratings that the user has in training.
_ACTIVITY_EDGES = (0, 20, 50, 100, 200)
_ACTIVITY_NAMES = ("0", "1-20", "21-50", "51-100", "101-200", "201+")

_SECONDS_PER_MINUTE = 60

_LINE_NUMBER = tf.lookup.TextFileIndex.LINE_NUMBER


def preprocessing_fn(
    inputs: dict[str, tf.Tensor | tf.SparseTensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """Turns raw ratings into what models train on; analysed on the train split only.

    Args:
        inputs: raw features of a batch of B ratings.
        custom_config: `transform`, a `TransformOptions` as JSON.

    Returns:
        `user_index`, `movie_index` int64 `[B]`: position in the vocabulary, its size for an id
            that is not in it.
        `user_rating_count`, `movie_rating_count` int64 `[B]`: ratings in train, 0 for an id that
            is not in the vocabulary.
        `user_activity` string `[B]`: the slice that `user_rating_count` falls into.
        `genres_multi_hot` float32 `[B, genres]`.
        `rated_at` int64 `[B]`: minutes since 1970.
        `rating` float32 `[B]` and `rating_mean` float32 `[B]`, the mean over train repeated.
    """
    options = TransformOptions.model_validate(custom_config["transform"])
    user_index, user_count = _index_and_count(
        inputs[features.USER_ID], features.USER_VOCABULARY, options.min_ratings_per_user
    )
    movie_index, movie_count = _index_and_count(
        inputs[features.MOVIE_ID], features.MOVIE_VOCABULARY, options.min_ratings_per_movie
    )
    _write_catalogue(inputs[features.MOVIE_ID], inputs[features.MOVIE_TITLE])
    rating = inputs[features.RATING]
    return {
        features.USER_INDEX: user_index,
        features.MOVIE_INDEX: movie_index,
        features.USER_RATING_COUNT: user_count,
        features.MOVIE_RATING_COUNT: movie_count,
        features.USER_ACTIVITY: _activity(user_count),
        features.GENRES_MULTI_HOT: _multi_hot(inputs[features.MOVIE_GENRES]),
        features.RATED_AT: inputs[features.TIMESTAMP] // _SECONDS_PER_MINUTE,
        features.RATING: rating,
        features.RATING_MEAN: tf.zeros_like(rating) + _mean(rating),
    }


def _mean(rating: tf.Tensor) -> tf.Tensor:
    """Over the train split, a scalar, the same however the ratings come in batches."""
    # Stars and half stars add up without rounding in float64; in float32 the order would show.
    return tf.cast(tft.mean(tf.cast(rating, tf.float64)), tf.float32)


def _index_and_count(
    ids: tf.Tensor, vocabulary: str, min_count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Looks ids up in a vocabulary ordered by count, then id, whose lines are `count id`."""
    path = tft.vocabulary(
        ids, frequency_threshold=min_count, vocab_filename=vocabulary, store_frequency=True
    )

    def line_number(ids: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        table = _vocabulary_table(path, value_index=_LINE_NUMBER)
        size = table.size()
        found = table.lookup(ids)
        return tf.where(found < 0, size, found), size + 1

    def count(ids: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        table = _vocabulary_table(path, value_index=0)
        return tf.maximum(table.lookup(ids), 0), table.size()

    index = tft.apply_vocabulary(ids, path, lookup_fn=line_number)
    return index, tft.apply_vocabulary(ids, path, lookup_fn=count)


def _vocabulary_table(path: tf.Tensor, value_index: int) -> tf.lookup.StaticHashTable:
    return tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            path,
            key_dtype=tf.string,
            key_index=1,
            value_dtype=tf.int64,
            value_index=value_index,
            delimiter=" ",
        ),
        default_value=-1,
    )


def _write_catalogue(movie_ids: tf.Tensor, titles: tf.Tensor | tf.SparseTensor) -> None:
    """Keeps the title of every movie in train as a vocabulary of `id <tab> title`."""
    tft.vocabulary(
        tf.strings.join([movie_ids, _dense(titles)], separator=features.CATALOGUE_SEPARATOR),
        vocab_filename=features.MOVIE_CATALOGUE,
    )


def _dense(values: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
    """`[B]`, with an empty string where the optional feature is missing."""
    if isinstance(values, tf.SparseTensor):
        shape = tf.stack([values.dense_shape[0], tf.constant(1, tf.int64)])
        return tf.squeeze(
            tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), ""), axis=1
        )
    return values


def _multi_hot(genres: tf.SparseTensor) -> tf.Tensor:
    index = tft.compute_and_apply_vocabulary(genres, vocab_filename=features.GENRE_VOCABULARY)
    size = tft.get_num_buckets_for_transformed_feature(index)
    depth = tf.cast(size, tf.int64)
    known = tf.sparse.retain(index, index.values >= 0)
    flat = tf.scatter_nd(
        tf.stack([known.indices[:, 0], known.values], axis=1),
        tf.ones_like(known.values, tf.float32),
        tf.stack([genres.dense_shape[0], depth]),
    )
    return tf.minimum(flat, 1.0)


def _activity(count: tf.Tensor) -> tf.Tensor:
    edges = tf.constant(_ACTIVITY_EDGES, tf.int64)
    return tf.gather(tf.constant(_ACTIVITY_NAMES), tf.searchsorted(edges, count, side="left"))
