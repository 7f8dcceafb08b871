"""Embedding tables with a row for the unknown id, their rows and dot products."""

from __future__ import annotations

import tensorflow as tf


def with_unknown_row(known: tf.Tensor) -> tf.Tensor:
    """Returns a table `[n, d]` with a row of zeros for unknown ids added last, `[n + 1, d]`."""
    return tf.pad(known, [[0, 1], [0, 0]])


def normal_vectors(known: int, dimension: int, stddev: float, seed: list[int]) -> tf.Tensor:
    """Returns vectors drawn from a normal distribution, and the unknown row.

    Args:
        known: Number of known ids.
        dimension: Length of a vector.
        stddev: Standard deviation around zero.
        seed: Two integers; equal seeds give equal vectors.

    Returns:
        float32 `[known + 1, dimension]`.
    """
    return with_unknown_row(tf.random.stateless_normal([known, dimension], seed, stddev=stddev))


def with_mean_user(users: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns a table of users in which those who chose nothing, and the unknown one, are average.

    Args:
        users: Vectors of the users, float32 `[users, d]`.
        weights: Sum of each user's choice weights, float32 `[users]`.

    Returns:
        float32 `[users + 1, d]`.
    """
    chose = tf.cast(weights > 0, tf.float32)[:, tf.newaxis]
    mean = tf.math.divide_no_nan(
        tf.reduce_sum(chose * users, axis=0, keepdims=True), tf.reduce_sum(chose)
    )
    return tf.concat([tf.where(chose > 0, users, mean), mean], axis=0)


def rows(table: tf.Variable, index: tf.Tensor) -> tf.Tensor:
    """Returns rows of a table, which may be sharded over parameter servers."""
    return tf.nn.embedding_lookup(table, index)


def rows_to_serve(table: tf.Variable, index: tf.Tensor) -> tf.Tensor:
    """Returns rows of a table that is not trained any more.

    Gathering from the variable itself, as training does, makes TensorFlow copy the whole table at
    every later read of it. Gathering from its value does not.

    Args:
        table: Any dtype, `[n, …]`.
        index: Any int dtype and shape.

    Returns:
        The dtype of the table, in the shape of the index followed by that of a row.
    """
    return tf.gather(table.read_value(), index)


def row_dot(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Returns the dot product of each pair of rows.

    Args:
        left: Any float dtype, `[n, d]`.
        right: The same dtype, `[n, d]`.

    Returns:
        float32 `[n, 1]`; sums are float32 whatever the dtype of the products.
    """
    return tf.reduce_sum(tf.cast(left * right, tf.float32), axis=1, keepdims=True)
