"""What factorisations share: tables with a row for the unknown, rows of them, dot products."""

from __future__ import annotations

import tensorflow as tf


def with_unknown_row(known: tf.Tensor) -> tf.Tensor:
    """`[n, d]` -> `[n + 1, d]`: a row of zeros for ids outside the vocabulary comes last."""
    return tf.pad(known, [[0, 1], [0, 0]])


def normal_vectors(known: int, dimension: int, stddev: float, seed: list[int]) -> tf.Tensor:
    """`[known + 1, dimension]`: normally distributed around zero, and the unknown row."""
    return with_unknown_row(tf.random.stateless_normal([known, dimension], seed, stddev=stddev))


def rows(table: tf.Variable, index: tf.Tensor) -> tf.Tensor:
    """The rows of a table, which may lie in parts on several parameter servers."""
    return tf.nn.embedding_lookup(table, index)


def row_dot(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """`[n, d]`, `[n, d]` -> float32 `[n, 1]`; summed in float32 whatever the products are in."""
    return tf.reduce_sum(tf.cast(left * right, tf.float32), axis=1, keepdims=True)
