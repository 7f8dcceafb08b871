"""Rating heads: they predict ratings in the exported model from the vectors that rank."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from models.contracts import Pairs
from models.layers.embeddings import row_dot, rows_to_serve


class DotProductRating(tf.Module):
    """g(u · v), for models whose dot product stands for a rating."""

    def __init__(self, score_of: Callable[[tf.Tensor], tf.Tensor]) -> None:
        """Creates the head.

        Args:
            score_of: g, a function without variables that takes a tensor of any shape.
        """
        super().__init__()
        self._score_of = score_of

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        """See `models.contracts.RatingHead`."""
        dot = row_dot(pairs.user_vectors, pairs.movie_vectors)
        return self._score_of(tf.squeeze(dot, axis=1))


class WeightedDotProductRating(tf.Module):
    """b_u + c_i + Σ_d a_d u_d v_d, for models that rate by other directions than they rank by."""

    def __init__(self, weight: tf.Tensor, user_bias: tf.Tensor, movie_bias: tf.Tensor) -> None:
        """Copies the weights.

        Args:
            weight: a, float32 `[d]`.
            user_bias: b, float32 `[users + 1, 1]`.
            movie_bias: c, float32 `[movies + 1, 1]`.
        """
        super().__init__()
        self.weight = tf.Variable(weight, trainable=False)
        self.user_bias = tf.Variable(user_bias, trainable=False)
        self.movie_bias = tf.Variable(movie_bias, trainable=False)

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        """See `models.contracts.RatingHead`."""
        bias = rows_to_serve(self.user_bias, pairs.user_index)
        bias += rows_to_serve(self.movie_bias, pairs.movie_index)
        dot = row_dot(self.weight * pairs.user_vectors, pairs.movie_vectors)
        return tf.squeeze(bias + dot, axis=1)


class NormalRating(DotProductRating):
    """u · v as the mean of a normal distribution, with variance s_u t_v."""

    def __init__(self, user_variance: tf.Tensor, movie_variance: tf.Tensor) -> None:
        """Copies the variances.

        Args:
            user_variance: s, float32 `[users + 1, 1]`.
            movie_variance: t, float32 `[movies + 1, 1]`.
        """
        super().__init__(tf.identity)
        self.user_variance = tf.Variable(user_variance, trainable=False)
        self.movie_variance = tf.Variable(movie_variance, trainable=False)

    def variance(self, pairs: Pairs) -> tf.Tensor:
        """Returns the variances of the ratings, float32 `[B]`."""
        user = rows_to_serve(self.user_variance, pairs.user_index)
        return tf.squeeze(user * rows_to_serve(self.movie_variance, pairs.movie_index), axis=1)
