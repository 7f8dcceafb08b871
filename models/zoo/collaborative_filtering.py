"""Collaborative filtering as machine-learning courses teach it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.contracts import Tables
from models.layers.embeddings import normal_vectors, row_dot, rows
from models.layers.fold_in import SquaredErrorFoldIn
from models.layers.rating_heads import DotProductRating
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics


class CollaborativeFiltering(tfrs.Model):
    """r̂(j, i) = w_j · x_i + b_j + m_i: features of movies and a regression for each user.

    Both are learned together; m_i is the mean rating of movie i in training. The cost over n
    ratings is J = ½ Σ (w_j · x_i + b_j + m_i − r)² + ½ λ (Σ x² + Σ w²): `cofi_cost` for
    mean-normalised ratings. The loss is J / n, which has the same minimum. λ is
    `model.l2_embedding`.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates x `[movies + 1, dimension]`, w `[users + 1, dimension]`, b `[users + 1, 1]`."""
        super().__init__()
        self._statistics = statistics
        self._l2 = options.l2_embedding
        self.x, self.w = (
            tf.Variable(
                normal_vectors(known, options.dimension, options.init_stddev, [seed, place])
            )
            for place, known in enumerate((statistics.movies, statistics.users))
        )
        self.b = tf.Variable(tf.zeros([statistics.users + 1, 1]))
        means = tf.constant([*statistics.movie_rating_mean, statistics.rating_mean], tf.float32)
        self.movie_mean = tf.Variable(means[:, tf.newaxis], trainable=False)

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns J / n, exact for a batch of all ratings and an estimate for a smaller one.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Products of
                vectors are computed in the Keras policy's compute dtype.
            training: Unused; part of the `tfrs.Model` contract.
        """
        predicted = self._predict(
            inputs[features.USER_INDEX], inputs[features.MOVIE_INDEX], self.compute_dtype
        )
        squared_error = tf.square(predicted - inputs[features.RATING])
        squares = tf.reduce_sum(tf.square(self.x)) + tf.reduce_sum(tf.square(self.w))
        penalty = self._l2 * squares / self._statistics.ratings
        return 0.5 * (tf.reduce_mean(squared_error) + penalty)

    def _predict(self, user_index: tf.Tensor, movie_index: tf.Tensor, dtype: str) -> tf.Tensor:
        dot = row_dot(
            tf.cast(rows(self.w, user_index), dtype), tf.cast(rows(self.x, movie_index), dtype)
        )
        offset = rows(self.b, user_index) + rows(self.movie_mean, movie_index)
        return tf.squeeze(dot + offset, axis=1)

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns ratings within the range of the training ratings, float32 `[B]`.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one, who gets
                the movie's mean.
            movie_index: int `[B]`; the number of known movies stands for an unknown one, which
                gets the mean of all ratings plus the user's b.
        """
        return tf.clip_by_value(
            self._predict(user_index, movie_index, tf.float32),
            self._statistics.rating_min,
            self._statistics.rating_max,
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself: a rating that is not clipped."""
        return dot

    def tables(self) -> Tables:
        """Returns w_j, b_j and x_i."""
        return Tables(user=(self.w, self.b), movie=(self.x,))

    def user_vectors(self) -> tf.Tensor:
        """Returns w_j, b_j, 1 for each user, `[users + 1, dimension + 2]`."""
        return tf.concat([self.w, self.b, tf.ones_like(self.b)], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """Returns x_i, 1, m_i for each movie, `[movies + 1, dimension + 2]`.

        The dot with a user's vector is r̂ before it is clipped.
        """
        return tf.concat([self.x, tf.ones_like(self.movie_mean), self.movie_mean], axis=1)

    def rating_head(self) -> DotProductRating:
        """Returns a head that rates from the vectors alone."""
        return DotProductRating(self.score_of)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Returns a fold-in of w_j, penalised as in the cost, and b_j, which has no penalty."""
        return SquaredErrorFoldIn(
            start=self.user_vectors()[-1].numpy(),
            penalty=np.array([self._l2] * self.x.shape[1] + [0], np.float32),
            per_rating=False,
        )


def cofi_cost(
    x: tf.Tensor, w: tf.Tensor, b: tf.Tensor, y: tf.Tensor, r: tf.Tensor, l2: float
) -> tf.Tensor:
    """Returns the cost J of collaborative filtering over whole matrices, a scalar.

    Args:
        x: Features of the movies, `[movies, d]`.
        w: Weights of the users, `[users, d]`.
        b: Biases of the users, `[1, users]`.
        y: Ratings, `[movies, users]`, with any value where there is none.
        r: 1 where there is a rating, else 0, `[movies, users]`.
        l2: λ, the L2 weight.
    """
    error = (tf.matmul(x, w, transpose_b=True) + b - y) * r
    squares = tf.reduce_sum(tf.square(x)) + tf.reduce_sum(tf.square(w))
    return 0.5 * (tf.reduce_sum(tf.square(error)) + l2 * squares)
