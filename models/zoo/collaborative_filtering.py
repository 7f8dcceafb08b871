"""Collaborative filtering as machine-learning courses teach it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.export.rating_head import DotProductRating
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.zoo.factors import normal_vectors, row_dot, rows
from models.zoo.fold_in import SquaredErrorFoldIn


class CollaborativeFiltering(tfrs.Model):
    """r̂(j, i) = w_j · x_i + b_j + m_i: features of movies and a regression for each user.

    Both are learned together; m_i is the mean rating of movie i in training. The cost over n
    ratings is J = ½ Σ (w_j · x_i + b_j + m_i − r)² + ½ λ (Σ x² + Σ w²), the one of `cofi_cost` with
    mean-normalised ratings. The loss is J / n, which has the same minimum. λ is
    `model.l2_embedding`.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates X `[movies + 1, dimension]`, W `[users + 1, dimension]`, b `[users + 1, 1]`."""
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
        """J / n of a batch that stands for all ratings; exactly so if it holds all of them.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Products of
                vectors are taken in the Keras policy's compute dtype.
            training: unused; part of the `tfrs.Model` contract.
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
        """Predicted ratings, float32 `[B]`, within the range of the training ratings.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one, who gets
                the movie's mean.
            movie_index: int `[B]`; the number of known movies stands for an unknown one, which gets
                the mean of all ratings and the user's b.
        """
        return tf.clip_by_value(
            self._predict(user_index, movie_index, tf.float32),
            self._statistics.rating_min,
            self._statistics.rating_max,
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """The dot itself, a rating that is not clipped."""
        return dot

    def user_vectors(self) -> tf.Tensor:
        """`[users + 1, dimension + 2]`: w_j, b_j, 1."""
        return tf.concat([self.w, self.b, tf.ones_like(self.b)], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """`[movies + 1, dimension + 2]`: x_i, 1, m_i; the dot with a user's is the unclipped r̂."""
        return tf.concat([self.x, tf.ones_like(self.movie_mean), self.movie_mean], axis=1)

    def rating_head(self) -> DotProductRating:
        """Of the vectors alone."""
        return DotProductRating(self.score_of)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Of w_j, penalised as in the cost, and b_j, which is not."""
        return SquaredErrorFoldIn(
            start=self.user_vectors()[-1].numpy(),
            penalty=np.array([self._l2] * self.x.shape[1] + [0], np.float32),
            per_rating=False,
        )


def cofi_cost(
    x: tf.Tensor, w: tf.Tensor, b: tf.Tensor, y: tf.Tensor, r: tf.Tensor, l2: float
) -> tf.Tensor:
    """The cost of collaborative filtering over whole matrices, a scalar.

    Args:
        x: features of the movies, `[movies, d]`.
        w: parameters of the users, `[users, d]`.
        b: of the users, `[1, users]`.
        y: ratings, `[movies, users]`; anything where there is none.
        r: 1 where there is a rating, else 0, `[movies, users]`.
        l2: λ.
    """
    error = (tf.matmul(x, w, transpose_b=True) + b - y) * r
    squares = tf.reduce_sum(tf.square(x)) + tf.reduce_sum(tf.square(w))
    return 0.5 * (tf.reduce_sum(tf.square(error)) + l2 * squares)


def cofi_cost_by_rating(
    x: tf.Tensor, w: tf.Tensor, b: tf.Tensor, y: tf.Tensor, r: tf.Tensor, l2: float
) -> tf.Tensor:
    """`cofi_cost`, one rating after the other: slow, and easy to check against the formula."""
    cost = tf.zeros([], x.dtype)
    for movie in range(y.shape[0]):
        for user in range(y.shape[1]):
            if r[movie, user]:
                predicted = tf.reduce_sum(w[user] * x[movie]) + b[0, user]
                cost += 0.5 * tf.square(predicted - y[movie, user])
    for table in (x, w):
        for row in tf.unstack(table):
            cost += 0.5 * l2 * tf.reduce_sum(tf.square(row))
    return cost
