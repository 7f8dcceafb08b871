"""Matrix factorisation with biases, through a sigmoid."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.factors import row_dot, rows, with_unknown_row
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics


class SigmoidMatrixFactorization(tfrs.Model):
    """r̂(u, i) = l + (h − l) σ(c + b_u + b_i + p_u · q_i), with the range of ratings [l, h].

    c is the logit of the mean rating within the range, so that somebody unknown gets the mean for
    something unknown. L2 is weighted by how often a row is rated, as in `biased_mf`. The vectors
    begin as in Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010), equation 16.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables: biases `[n + 1, 1]` and vectors `[n + 1, dimension]`, float32."""
        super().__init__()
        self._options = options
        self._lowest = statistics.rating_min
        self._range = statistics.rating_max - statistics.rating_min
        fraction = (statistics.rating_mean - self._lowest) / self._range
        self.offset = tf.Variable(math.log(fraction / (1 - fraction)), trainable=False)
        self.user_bias = tf.Variable(tf.zeros([statistics.users + 1, 1]))
        self.movie_bias = tf.Variable(tf.zeros([statistics.movies + 1, 1]))
        self.user_embedding = tf.Variable(self._glorot(statistics.users, [seed, 0]))
        self.movie_embedding = tf.Variable(self._glorot(statistics.movies, [seed, 1]))

    def _glorot(self, known: int, seed: list[int]) -> tf.Tensor:
        shape = [known, self._options.dimension]
        limit = math.sqrt(6 / sum(shape))
        return with_unknown_row(tf.random.stateless_uniform(shape, seed, -limit, limit))

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Mean over the batch of squared error plus the penalty of the rows each rating uses.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Products of
                vectors are taken in the Keras policy's compute dtype.
            training: unused; part of the `tfrs.Model` contract.
        """
        users, movies = inputs[features.USER_INDEX], inputs[features.MOVIE_INDEX]
        biases = rows(self.user_bias, users), rows(self.movie_bias, movies)
        vectors = [
            tf.cast(rows(table, index), self.compute_dtype)
            for table, index in ((self.user_embedding, users), (self.movie_embedding, movies))
        ]
        predicted = self.rating_of(self.offset + sum(biases) + row_dot(*vectors))
        squared_error = tf.square(inputs[features.RATING][:, tf.newaxis] - predicted)
        penalty = self._options.l2_bias * sum(map(tf.square, biases))
        penalty += self._options.l2_embedding * sum(row_dot(one, one) for one in vectors)
        return tf.reduce_mean(squared_error + penalty)

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Predicted ratings, float32 `[B]`.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one.
            movie_index: int `[B]`; the number of known movies stands for an unknown one.
        """
        dot = row_dot(
            rows(self.user_embedding, user_index), rows(self.movie_embedding, movie_index)
        )
        bias = rows(self.user_bias, user_index) + rows(self.movie_bias, movie_index)
        return self.rating_of(tf.squeeze(self.offset + bias + dot, axis=1))

    def rating_of(self, score: tf.Tensor) -> tf.Tensor:
        """The rating that a dot of vectors stands for, of the same shape."""
        return self._lowest + self._range * tf.sigmoid(score)

    def user_vectors(self) -> tf.Tensor:
        """`[users + 1, dimension + 2]`: p_u, 1, c + b_u."""
        ones = tf.ones_like(self.user_bias)
        return tf.concat([self.user_embedding, ones, self.offset + self.user_bias], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """`[movies + 1, dimension + 2]`: q_i, b_i, 1; the dot with a user's is a score."""
        ones = tf.ones_like(self.movie_bias)
        return tf.concat([self.movie_embedding, self.movie_bias, ones], axis=1)
