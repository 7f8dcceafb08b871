"""The Transform step: vocabularies and statistics of the training ratings."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from models import features, side_features
from models.activity import activity_slice
from models.options import TransformOptions

_SECONDS_PER_MINUTE = 60

_LINE_NUMBER = tf.lookup.TextFileIndex.LINE_NUMBER


def preprocessing_fn(
    inputs: dict[str, tf.Tensor | tf.SparseTensor], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor]:
    """Transforms raw ratings into features for training.

    Vocabularies and statistics come from the train split alone. So does the vocabulary of users'
    side features, which has a line for each user of whom some are known.

    Args:
        inputs: Raw features of a batch of B ratings.
        custom_config: `transform`: `TransformOptions` as JSON.

    Returns:
        `user_index`, `movie_index` int64 `[B]`: Position in the vocabulary; its size for an
            unknown id.
        `user_rating_count`, `movie_rating_count` int64 `[B]`: Number of ratings in train; 0 for
            an unknown id.
        `user_activity` string `[B]`: Slice of `user_rating_count`.
        `genres_multi_hot` float32 `[B, genres]`: 1 for each genre of the movie.
        `rated_at` int64 `[B]`: Minutes since 1970.
        `rating` float32 `[B]`: Rating in stars.
        `rating_mean` float32 `[B]`: Mean over train, the same in every row.
    """
    options = TransformOptions.model_validate(custom_config["transform"])
    user_index, user_count = _index_and_count(
        inputs[features.USER_ID], features.USER_VOCABULARY, options.min_ratings_per_user
    )
    movie_index, movie_count = _index_and_count(
        inputs[features.MOVIE_ID], features.MOVIE_VOCABULARY, options.min_ratings_per_movie
    )
    _write_catalogue(
        inputs[features.MOVIE_ID], inputs[features.MOVIE_GENRES], inputs[features.MOVIE_TITLE]
    )
    _write_user_features(
        inputs[features.USER_ID],
        inputs[features.USER_AGE],
        inputs[features.USER_GENDER],
        inputs[features.USER_OCCUPATION],
    )
    rating = inputs[features.RATING]
    return {
        features.USER_INDEX: user_index,
        features.MOVIE_INDEX: movie_index,
        features.USER_RATING_COUNT: user_count,
        features.MOVIE_RATING_COUNT: movie_count,
        features.USER_ACTIVITY: activity_slice(user_count),
        features.GENRES_MULTI_HOT: _multi_hot(inputs[features.MOVIE_GENRES]),
        features.RATED_AT: inputs[features.TIMESTAMP] // _SECONDS_PER_MINUTE,
        features.RATING: rating,
        features.RATING_MEAN: tf.zeros_like(rating) + _mean(rating),
    }


def _mean(rating: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the train split, which does not depend on the order of the ratings."""
    # Sums of half stars are exact in float64; in float32 they would depend on the order.
    return tf.cast(tft.mean(tf.cast(rating, tf.float64)), tf.float32)


def _index_and_count(
    ids: tf.Tensor, vocabulary: str, min_count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns each id's index and count, from a vocabulary in order of count, then id."""
    path = tft.vocabulary(
        ids, frequency_threshold=min_count, vocab_filename=vocabulary, store_frequency=True
    )

    def line_number(ids: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        table = _vocabulary_table(path, value_index=_LINE_NUMBER)
        size = table.size()
        line = table.lookup(ids)
        return tf.where(line < 0, size, line), size + 1

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


def _write_catalogue(
    movie_ids: tf.Tensor, genres: tf.SparseTensor, titles: tf.Tensor | tf.SparseTensor
) -> None:
    """Writes every movie in train into a vocabulary of `id <tab> genres <tab> title`."""
    joined = tf.strings.reduce_join(
        tf.RaggedTensor.from_sparse(genres), axis=1, separator=features.GENRE_SEPARATOR
    )
    tft.vocabulary(
        tf.strings.join(
            [movie_ids, joined, _dense(titles, "")], separator=features.CATALOGUE_SEPARATOR
        ),
        vocab_filename=features.MOVIE_CATALOGUE,
    )


def _write_user_features(
    user_ids: tf.Tensor,
    age: tf.Tensor | tf.SparseTensor,
    gender: tf.Tensor | tf.SparseTensor,
    occupation: tf.Tensor | tf.SparseTensor,
) -> None:
    """Writes every user in train of whom something is known into a vocabulary.

    A line is the id and the names of the features, with `side_features.SEPARATOR` between them.
    """
    groups = side_features.user_features(_dense(age, 0), _dense(gender, ""), _dense(occupation, ""))
    names = tf.concat(list(groups.values()), axis=1)
    lines = tf.strings.reduce_join(
        tf.concat([user_ids[:, tf.newaxis], names], axis=1),
        axis=1,
        separator=side_features.SEPARATOR,
    )
    has_any = tf.reduce_any(tf.strings.length(names) > 0, axis=1)
    tft.vocabulary(tf.boolean_mask(lines, has_any), vocab_filename=features.USER_SIDE_FEATURES)


def _dense(values: tf.Tensor | tf.SparseTensor, default: str | int) -> tf.Tensor:
    """Returns values `[B]`, with the default where the optional feature is missing."""
    if isinstance(values, tf.SparseTensor):
        shape = tf.stack([values.dense_shape[0], tf.constant(1, tf.int64)])
        return tf.squeeze(
            tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape), default),
            axis=1,
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
