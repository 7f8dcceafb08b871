"""What rates in the exported model, from the vectors by which it ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import tensorflow as tf

from models.zoo.factors import row_dot, rows


class Pairs(NamedTuple):
    """Users and movies to rate.

    Attributes:
        user_index: int `[B]`; the number of known users stands for an unknown one.
        movie_index: int `[B]`; the number of known movies stands for an unknown one.
        user_vectors: rows of the model's `user_vectors`, float32 `[B, d]`.
        movie_vectors: rows of its `movie_vectors`, float32 `[B, d]`.
    """

    user_index: tf.Tensor
    movie_index: tf.Tensor
    user_vectors: tf.Tensor
    movie_vectors: tf.Tensor


class RatingHead(Protocol):
    """Rates pairs; a `tf.Module` that holds no weight but what the vectors leave out."""

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        """Ratings, not clipped to their range, float32 `[B]`."""


class DotProductRating(tf.Module):
    """g(u · v), for models whose dot product stands for a rating."""

    def __init__(self, score_of: Callable[[tf.Tensor], tf.Tensor]) -> None:
        """Takes g, of no variables and of tensors of any shape."""
        super().__init__()
        self._score_of = score_of

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        """See `RatingHead`."""
        dot = row_dot(pairs.user_vectors, pairs.movie_vectors)
        return self._score_of(tf.squeeze(dot, axis=1))


class WeightedDotProductRating(tf.Module):
    """b_u + c_i + Σ_d a_d u_d v_d, for models that rate by other directions than they rank by."""

    def __init__(self, weight: tf.Tensor, user_bias: tf.Tensor, movie_bias: tf.Tensor) -> None:
        """Copies a `[d]`, b `[users + 1, 1]` and c `[movies + 1, 1]`, float32."""
        super().__init__()
        self.weight = tf.Variable(weight, trainable=False)
        self.user_bias = tf.Variable(user_bias, trainable=False)
        self.movie_bias = tf.Variable(movie_bias, trainable=False)

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        """See `RatingHead`."""
        bias = rows(self.user_bias, pairs.user_index) + rows(self.movie_bias, pairs.movie_index)
        dot = row_dot(self.weight * pairs.user_vectors, pairs.movie_vectors)
        return tf.squeeze(bias + dot, axis=1)
