"""Matrix factorisation of the observed ratings, without biases."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.contracts import Tables
from models.layers.embeddings import normal_vectors, row_dot, rows, with_unknown_row
from models.layers.fold_in import SquaredErrorFoldIn
from models.layers.rating_heads import DotProductRating
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics


class SparseMatrixFactorization(tfrs.Model):
    """r̂(u, i) = p_u · q_i, fitted to the mean squared error over the observed entries.

    The loss has two more terms. Both are means, so neither grows with the data:

    - L2, the mean squared norm of the rows of each table;
    - gravity, the mean squared score over all pairs of user and movie, which lowers the scores of
      unrated movies. With A = PᵀP and B = QᵀQ the sum of all squared scores is Σ A∘B, a product of
      d × d matrices: Σ_ui (p_u · q_i)² = tr(P QᵀQ Pᵀ) = tr(AB), and A and B are symmetric.

    For an unknown user or movie the prediction is the mean rating, since 0 is no rating.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables of vectors `[n + 1, dimension]`, float32."""
        super().__init__()
        self._options = options
        self._statistics = statistics
        self.rating_mean = tf.Variable(statistics.rating_mean, trainable=False, dtype=tf.float32)
        self.user_embedding, self.movie_embedding = (
            tf.Variable(
                normal_vectors(known, options.dimension, options.init_stddev, [seed, place])
            )
            for place, known in enumerate((statistics.users, statistics.movies))
        )

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the mean squared error over the batch plus both terms over the tables.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Products of
                vectors are computed in the Keras policy's compute dtype.
            training: Unused; part of the `tfrs.Model` contract.
        """
        users = tf.cast(rows(self.user_embedding, inputs[features.USER_INDEX]), self.compute_dtype)
        movies = tf.cast(
            rows(self.movie_embedding, inputs[features.MOVIE_INDEX]), self.compute_dtype
        )
        error = inputs[features.RATING][:, tf.newaxis] - row_dot(users, movies)
        return tf.reduce_mean(tf.square(error)) + self._l2() + self._gravity()

    def _l2(self) -> tf.Tensor:
        return self._options.l2_embedding * (
            tf.reduce_sum(tf.square(self.user_embedding)) / self._statistics.users
            + tf.reduce_sum(tf.square(self.movie_embedding)) / self._statistics.movies
        )

    def _gravity(self) -> tf.Tensor:
        users = tf.matmul(self.user_embedding, self.user_embedding, transpose_a=True)
        movies = tf.matmul(self.movie_embedding, self.movie_embedding, transpose_a=True)
        pairs = self._statistics.users * self._statistics.movies
        return self._options.gravity * tf.reduce_sum(users * movies) / pairs

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns ratings within the range of the training ratings, float32 `[B]`.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one.
            movie_index: int `[B]`; the number of known movies stands for an unknown one.
        """
        score = row_dot(
            rows(self.user_embedding, user_index), rows(self.movie_embedding, movie_index)
        )
        known = (user_index < self._statistics.users) & (movie_index < self._statistics.movies)
        return tf.clip_by_value(
            tf.where(known, tf.squeeze(score, axis=1), self.rating_mean),
            self._statistics.rating_min,
            self._statistics.rating_max,
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself: a rating that is not clipped."""
        return dot

    def tables(self) -> Tables:
        """Returns p_u and q_i."""
        return Tables(user=(self.user_embedding,), movie=(self.movie_embedding,))

    def user_vectors(self) -> tf.Tensor:
        """Returns p_u, μ, and −μ or, for the unknown user, 0: `[users + 1, dimension + 2]`."""
        known = self._known(self._statistics.users)
        mean = tf.fill(tf.shape(known), self.rating_mean)
        return tf.concat([self.user_embedding, mean, -self.rating_mean * known], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """Returns q_i, 1, and 1 or, for the unknown movie, 0: `[movies + 1, dimension + 2]`.

        The dot with a user's vector is p_u · q_i, or μ if one of them is unknown.
        """
        known = self._known(self._statistics.movies)
        return tf.concat([self.movie_embedding, tf.ones_like(known), known], axis=1)

    def rating_head(self) -> DotProductRating:
        """Returns a head that rates from the vectors alone."""
        return DotProductRating(self.score_of)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Returns a fold-in of p_u, with a user's share of both terms over the tables."""
        statistics, options = self._statistics, self._options
        mean = statistics.rating_mean
        # The loss is a mean over all ratings, a fold-in's objective a sum over one user's.
        per_user = statistics.ratings / statistics.users
        products = tf.matmul(self.movie_embedding, self.movie_embedding, transpose_a=True).numpy()
        return SquaredErrorFoldIn(
            start=np.array([0] * options.dimension + [mean, -mean], np.float32),
            penalty=np.full(options.dimension, options.l2_embedding * per_user, np.float32),
            per_rating=False,
            gram=options.gravity * per_user / statistics.movies * products,
        )

    def _known(self, count: int) -> tf.Tensor:
        return with_unknown_row(tf.ones([count, 1]))
