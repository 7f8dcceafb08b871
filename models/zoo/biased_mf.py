"""Biased matrix factorisation."""

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


class BiasedMatrixFactorization(tfrs.Model):
    """r̂(u, i) = μ + b_u + b_i + p_u · q_i, with L2 weighted by how often a row is rated.

    Source: Koren, Bell & Volinsky, "Matrix factorization techniques for recommender systems"
    (2009), equations 4 and 5. Summing the penalty over the ratings of a batch weights each row's
    penalty by its number of ratings, as their equation 5 does.

    The last row of each table stands for unknown ids. No training rating uses it, so it stays
    zero: an unknown user gets μ + b_i, an unknown movie μ + b_u.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables: biases `[n + 1, 1]` and vectors `[n + 1, dimension]`, float32."""
        super().__init__()
        self._options = options
        self._statistics = statistics
        self.offset = tf.Variable(self._offset(), trainable=False, dtype=tf.float32)
        self.user_bias = tf.Variable(tf.zeros([statistics.users + 1, 1]))
        self.movie_bias = tf.Variable(tf.zeros([statistics.movies + 1, 1]))
        self.user_embedding = tf.Variable(self._initial_vectors(statistics.users, [seed, 0]))
        self.movie_embedding = tf.Variable(self._initial_vectors(statistics.movies, [seed, 1]))

    def _offset(self) -> float:
        """Returns the score of an unknown user and an unknown movie."""
        return self._statistics.rating_mean

    def _initial_vectors(self, known: int, seed: list[int]) -> tf.Tensor:
        return normal_vectors(known, self._options.dimension, self._options.init_stddev, seed)

    def _user_rows(self, users: tf.Tensor) -> tf.Tensor:
        """Returns the users' vectors, float32 `[B, dimension]`."""
        return rows(self.user_embedding, users)

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the mean over the batch of squared error and of the penalty of the rows used.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Products of
                vectors are computed in the Keras policy's compute dtype.
            training: Unused; part of the `tfrs.Model` contract.
        """
        users, movies = inputs[features.USER_INDEX], inputs[features.MOVIE_INDEX]
        user_bias = rows(self.user_bias, users)
        movie_bias = rows(self.movie_bias, movies)
        user_vectors = tf.cast(self._user_rows(users), self.compute_dtype)
        movie_vectors = tf.cast(rows(self.movie_embedding, movies), self.compute_dtype)

        score = self.offset + user_bias + movie_bias + row_dot(user_vectors, movie_vectors)
        predicted = self.score_of(tf.squeeze(score, axis=1))
        squared_error = tf.square(inputs[features.RATING] - predicted)
        bias_penalty = tf.square(user_bias) + tf.square(movie_bias)
        vector_penalty = row_dot(user_vectors, user_vectors) + row_dot(movie_vectors, movie_vectors)
        penalty = self._options.l2_bias * bias_penalty + self._options.l2_embedding * vector_penalty
        return tf.reduce_mean(squared_error + tf.squeeze(penalty, axis=1))

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns ratings within the range of the training ratings, float32 `[B]`.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one.
            movie_index: int `[B]`; the number of known movies stands for an unknown one.
        """
        dot = row_dot(self._user_rows(user_index), rows(self.movie_embedding, movie_index))
        bias = rows(self.user_bias, user_index) + rows(self.movie_bias, movie_index)
        return tf.clip_by_value(
            self.score_of(tf.squeeze(self.offset + bias + dot, axis=1)),
            self._statistics.rating_min,
            self._statistics.rating_max,
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself: a rating that is not clipped."""
        return dot

    def tables(self) -> Tables:
        """Returns b_u, p_u and b_i, q_i."""
        return Tables(
            user=(self.user_bias, self.user_embedding),
            movie=(self.movie_bias, self.movie_embedding),
        )

    def user_vectors(self) -> tf.Tensor:
        """Returns p_u, μ + b_u, 1 for each user, `[users + 1, dimension + 2]`."""
        vectors = self._user_rows(tf.range(self._statistics.users + 1))
        ones = tf.ones_like(self.user_bias)
        return tf.concat([vectors, self.offset + self.user_bias, ones], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """Returns q_i, 1, b_i for each movie, `[movies + 1, dimension + 2]`.

        The dot with a user's vector is the score.
        """
        ones = tf.ones_like(self.movie_bias)
        return tf.concat([self.movie_embedding, ones, self.movie_bias], axis=1)

    def rating_head(self) -> DotProductRating:
        """Returns a head that rates from the vectors alone."""
        return DotProductRating(self.score_of)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Returns a fold-in of p_u and b_u, penalised as in training."""
        options = self._options
        return SquaredErrorFoldIn(
            start=self.user_vectors()[-1].numpy(),
            penalty=np.array(
                [options.l2_embedding] * options.dimension + [options.l2_bias], np.float32
            ),
            per_rating=True,
        )
