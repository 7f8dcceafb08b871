"""Ragged tables in the exported graph, in few operations.

What `tf.RaggedTensor` offers for the same checks its input and takes several times as many. Each
operation takes time whenever a model is traced, written, loaded and first called.
"""

from __future__ import annotations

import tensorflow as tf


def from_table(table: tf.Tensor) -> tf.RaggedTensor:
    """Returns a table `[n, m]` of any dtype as a ragged one."""
    rows, width = tf.unstack(tf.shape(table, tf.int64))
    return tf.RaggedTensor.from_row_splits(
        tf.reshape(table, [-1]), tf.range(rows + 1) * width, validate=False
    )


def part_of(table: tf.RaggedTensor, rows: slice) -> tf.RaggedTensor:
    """Returns some rows of a ragged table.

    Args:
        table: Any dtype, `[n, (…)]`.
        rows: Start, at most n, and end, which may be greater.
    """
    splits = table.row_splits[rows.start : rows.stop + 1]
    values = table.values[splits[0] : splits[-1]]
    return tf.RaggedTensor.from_row_splits(values, splits - splits[0], validate=False)


def rows_of_values(table: tf.RaggedTensor) -> tf.Tensor:
    """Returns the row of each value of a ragged table, int32 `[values]`."""
    places = tf.range(tf.shape(table.values, table.row_splits.dtype)[0])
    return tf.searchsorted(table.row_splits[1:], places, side="right")


def padded_places(row_splits: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the values of some rows of a ragged table are, as rows of equal length.

    Args:
        row_splits: Start of each row, and the end, int64 `[n + 1]`.
        rows: Rows of the table, int `[B]`.

    Returns:
        The place of each value, int64 `[B, m]`, with 0 after the last, and whether there is one,
        bool `[B, m]`.
    """
    starts = tf.gather(row_splits, rows)[:, tf.newaxis]
    lengths = tf.gather(row_splits, rows + 1)[:, tf.newaxis] - starts
    # Of no rows, the largest length is the least integer.
    columns = tf.range(tf.maximum(tf.reduce_max(lengths), 0))
    is_value = columns < lengths
    return tf.where(is_value, starts + columns, 0), is_value
