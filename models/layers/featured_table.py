"""Tables whose rows are in part linear in features."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from models.layers.embeddings import rows, with_unknown_row

Counts = np.ndarray[Any, np.dtype[np.integer[Any]]]


class FeaturedTable(tf.Module):
    """A table with rows x_r = o_r + f_r W: what is learnt of a row alone, and of its features.

    The last row is that of unknown ids: it has no features, and no rating trains it, so it stays
    zero.

    Attributes:
        own: o, float32 `[n + 1, d]`.
        features: f, float32 `[n + 1, k]`, not trained.
        weights: W, float32 `[k, d]`.
    """

    def __init__(self, start: tf.Tensor, features: tf.Tensor, counts: Counts) -> None:
        """Creates the table with weights of zero.

        Args:
            start: Initial o of the known rows, float32 `[n, d]`. A row without ratings starts at
                zero, where it stays.
            features: f of the known rows, float32 `[n, k]`.
            counts: Number of ratings of each known row, `[n]`.
        """
        super().__init__()
        is_rated = tf.constant(counts > 0, tf.float32)[:, tf.newaxis]
        self.own = tf.Variable(with_unknown_row(is_rated * start))
        self.features = tf.Variable(with_unknown_row(features), trainable=False)
        self.weights = tf.Variable(tf.zeros([features.shape[1], start.shape[1]]))
        self._share = tf.Variable(
            with_unknown_row(tf.constant(1 / np.maximum(counts, 1)[:, np.newaxis], tf.float32)),
            trainable=False,
        )

    def lookup(self, index: tf.Tensor) -> tf.Tensor:
        """Returns rows x, float32 `[B, d]`."""
        return rows(self.own, index) + tf.matmul(rows(self.features, index), self.weights)

    def penalty(self, index: tf.Tensor, l2: tf.Tensor, ratings: int) -> tf.Tensor:
        """Returns a batch's part of the mean over all ratings of Σ_r |o_r|² + |W|², a scalar.

        A row's penalty is spread over its ratings, so that all batches of an epoch add up to one
        penalty for each row, however often it is rated.

        Args:
            index: Row of each rating of the batch, int `[B]`.
            l2: Weight of each column in the squared norms, float32 `[d]`.
            ratings: Number of all ratings.
        """
        of_rows = tf.reduce_sum(l2 * tf.square(rows(self.own, index)), axis=1, keepdims=True)
        of_weights = tf.reduce_sum(l2 * tf.square(self.weights))
        return tf.reduce_mean(rows(self._share, index) * of_rows) + of_weights / ratings

    @property
    def shape(self) -> tf.TensorShape:
        """The shape of x."""
        return self.own.shape

    def numpy(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Returns x, float32 `[n + 1, d]`."""
        table: np.ndarray[Any, np.dtype[np.float32]] = tf.convert_to_tensor(self).numpy()
        return table

    def assign(self, values: Any, /) -> None:
        """Sets x by setting o; the weights stay.

        Args:
            values: New x, float32 `[n + 1, d]`.
        """
        self.own.assign(values - tf.matmul(self.features, self.weights))

    def __tf_tensor__(self, dtype: tf.DType | None = None, name: str | None = None) -> tf.Tensor:
        """Returns x as a tensor; `tf.convert_to_tensor` calls this."""
        table = tf.convert_to_tensor(self.own) + tf.matmul(self.features, self.weights)
        return tf.convert_to_tensor(table, dtype, name)
