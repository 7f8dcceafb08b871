"""Limits on requests to the exported model, and checks of their shapes, inside its graph."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

from models import features
from models.export.top_k import QUERIES_AT_ONCE

# Of one request that ranks: rows times movies of the catalogue, rows times k, ratings in a row.
MAX_SCORES: Final = 100_000_000
MAX_ANSWERS: Final = 1_000_000
MAX_RATINGS: Final = 10_000


def within_answers(ids: tf.Tensor, k: tf.Tensor, movies: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks the number of rows of a request that ranks.

    Whatever is computed for each row must depend on the returned ids.

    Args:
        ids: Ids of any shape whose first dimension is the rows.
        k: Number of movies asked for, int32 scalar.
        movies: Number of movies in the catalogue.

    Returns:
        The ids, and k limited to the size of the catalogue.
    """
    k = tf.clip_by_value(k, 0, movies)
    answers = tf.shape(ids, tf.int64)[0] * tf.cast(k, tf.int64)
    few = _expect(answers <= MAX_ANSWERS, f"at most {MAX_ANSWERS} rows times k", answers)
    ids = within_scores(ids, movies)
    with tf.control_dependencies([few]):
        return tf.identity(ids), k


def within_scores(rows: tf.Tensor, movies: int) -> tf.Tensor:
    """Checks that every movie of the catalogue can be scored for each row.

    Args:
        rows: Any dtype and shape whose first dimension is the rows.
        movies: Number of movies in the catalogue.

    Returns:
        The rows.
    """
    scores = tf.shape(rows, tf.int64)[0] * movies
    # A batch of queries is allowed whatever the size of the catalogue.
    limit = max(MAX_SCORES, QUERIES_AT_ONCE * movies)
    catalogue = f"the {movies} movies of the catalogue"
    few = _expect(scores <= limit, f"at most {limit} rows times {catalogue}", scores)
    with tf.control_dependencies([few]):
        return tf.identity(rows)


def within_ratings(movie_id: tf.Tensor, rating: tf.Tensor) -> tf.Tensor:
    """Checks that ratings are finite and not too many.

    Args:
        movie_id: Movies that each user rated, string `[B, N]`.
        rating: Their ratings, float32 `[B, N]`.

    Returns:
        The ratings.
    """
    width = tf.shape(movie_id)[1]
    few = _expect(width <= MAX_RATINGS, f"at most {MAX_RATINGS} ratings in a row", width)
    finite = _expect(
        tf.reduce_all(tf.math.is_finite(rating)), f"{features.RATING} of finite numbers", rating
    )
    with tf.control_dependencies([few, finite]):
        return tf.identity(rating)


def with_equal_rows(
    left_name: str, left: tf.Tensor, right_name: str, right: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Checks that two inputs have equal sizes in the dimensions that both have.

    Args:
        left_name: Name of the first input.
        left: First input, with static rank.
        right_name: Name of the second input.
        right: Second input, with static rank.

    Returns:
        Both inputs.
    """
    both = min(left.shape.rank, right.shape.rank)
    shapes = tf.shape(left)[:both], tf.shape(right)[:both]
    equal = _expect(
        tf.reduce_all(shapes[0] == shapes[1]),
        f"{left_name} and {right_name} with as many rows, as long where both are",
        *shapes,
    )
    with tf.control_dependencies([equal]):
        return tf.identity(left), tf.identity(right)


def _expect(condition: tf.Tensor, expected: str, *given: tf.Tensor) -> tf.Operation:
    """Returns an operation that fails the request, with what was expected and what was given.

    Nothing else determines the order of failures: what must not run before the check has to depend
    on the operation.
    """
    # `tf.debugging.Assert` would add a condition and two functions around it.
    return tf.raw_ops.Assert(condition=condition, data=[f"expected {expected}, given", *given])
