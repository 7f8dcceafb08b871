"""Plain matrix factorisation of the observed ratings."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.export.rating_head import DotProductRating
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.zoo.factors import normal_vectors, row_dot, rows, with_unknown_row
from models.zoo.fold_in import SquaredErrorFoldIn


class SparseMatrixFactorization(tfrs.Model):
    """r̂(u, i) = p_u · q_i, fitted to the mean squared error over the observed entries.

    Two terms are added, each a mean, so that neither grows with the data: L2, the mean squared
    norm of the rows of each table, and "gravity", the mean squared score over all pairs of user
    and movie, which pulls down the scores of what was never rated. With A = PᵀP and B = QᵀQ the sum
    of all squared scores is Σ A∘B, a product of d × d matrices: Σ_ui (p_u · q_i)² =
    tr(P QᵀQ Pᵀ) = tr(AB), and A and B are symmetric.

    A user or movie outside the vocabulary is predicted the mean rating: zeros would be no rating.
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
        """Mean squared error over the batch, and the two terms over the tables.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Products of
                vectors are taken in the Keras policy's compute dtype.
            training: unused; part of the `tfrs.Model` contract.
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
        """Predicted ratings, float32 `[B]`, within the range of the training ratings.

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
        """The dot itself, a rating that is not clipped."""
        return dot

    def user_vectors(self) -> tf.Tensor:
        """`[users + 1, dimension + 2]`: p_u, μ, and −μ for a known user or 0 for the unknown."""
        known = self._known(self._statistics.users)
        mean = tf.fill(tf.shape(known), self.rating_mean)
        return tf.concat([self.user_embedding, mean, -self.rating_mean * known], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """`[movies + 1, dimension + 2]`: q_i, 1, and 1 for a known movie or 0 for the unknown.

        The dot with a user's is p_u · q_i, or μ if one of them is unknown.
        """
        known = self._known(self._statistics.movies)
        return tf.concat([self.movie_embedding, tf.ones_like(known), known], axis=1)

    def rating_head(self) -> DotProductRating:
        """Of the vectors alone."""
        return DotProductRating(self.score_of)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Of p_u, with a user's share of both terms over the tables."""
        statistics, options = self._statistics, self._options
        mean = statistics.rating_mean
        # The loss is a mean over the ratings; of one user it is a sum.
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
