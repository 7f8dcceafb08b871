"""Two towers that retrieve what a user will like."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.zoo.factors import normal_vectors, row_dot, rows
from models.zoo.fold_in import SoftmaxFoldIn
from models.zoo.in_batch import in_batch_softmax_loss


class TwoTower(tfrs.Model):
    """s(u, i) = p_u · q_i + b_i, the log-odds, up to a constant of u, that u likes i.

    Trained by TFRS's retrieval task: each movie that was liked against the other movies of the
    batch. The scale of s is that of log-probabilities, because the softmax is corrected for how
    often each movie comes up in a batch; b_i grows with i's popularity.

    The last row of each table is the out-of-vocabulary one and stays zero: an unknown user gets
    the movies of the highest b_i.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables: vectors `[n + 1, dimension]`, biases `[movies + 1, 1]`, float32."""
        super().__init__()
        self._options = options
        self._statistics = statistics
        self.user_embedding = tf.Variable(self._initial_vectors(statistics.users, [seed, 0]))
        self.movie_embedding = tf.Variable(self._initial_vectors(statistics.movies, [seed, 1]))
        self.movie_bias = tf.Variable(tf.zeros([statistics.movies + 1, 1]))

    def _initial_vectors(self, known: int, seed: list[int]) -> tf.Tensor:
        return normal_vectors(known, self._options.dimension, self._options.init_stddev, seed)

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Mean over the batch of the retrieval loss of liked movies plus the rows' L2 penalty.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Of those
                below `liked_rating` the movies serve as negatives only.
            training: unused; part of the `tfrs.Model` contract.
        """
        return self._retrieval_loss(inputs) + self._options.l2_embedding * self._penalty(inputs)

    def _retrieval_loss(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """A scalar: the sum over the liked movies of the batch, over the batch's size."""
        counts = self._statistics.movie_rating_count
        return in_batch_softmax_loss(
            user_vectors=_with_one(rows(self.user_embedding, inputs[features.USER_INDEX])),
            movie_index=inputs[features.MOVIE_INDEX],
            movie_vectors_of=lambda movies: tf.concat(
                [rows(self.movie_embedding, movies), rows(self.movie_bias, movies)], axis=1
            ),
            sampling_probability=tf.constant(counts / np.sum(counts), tf.float32),
            weight=self._retrieval_weight(inputs[features.RATING]),
        )

    def _retrieval_weight(self, rating: tf.Tensor) -> tf.Tensor:
        """How much each row counts as a choice of its movie, `[B]`."""
        return tf.cast(rating >= self._options.liked_rating, tf.float32)

    def _penalty(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Mean over the batch of the squared norms of both vectors, a scalar."""
        user_vectors = rows(self.user_embedding, inputs[features.USER_INDEX])
        movie_vectors = rows(self.movie_embedding, inputs[features.MOVIE_INDEX])
        return tf.reduce_mean(
            row_dot(user_vectors, user_vectors) + row_dot(movie_vectors, movie_vectors)
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """The dot itself: log-odds."""
        return dot

    def user_vectors(self) -> tf.Tensor:
        """`[users + 1, dimension + 1]`: p_u, 1."""
        return _with_one(self.user_embedding)

    def movie_vectors(self) -> tf.Tensor:
        """`[movies + 1, dimension + 1]`: q_i, b_i; the dot with a user's is the score."""
        return tf.concat([self.movie_embedding, self.movie_bias], axis=1)

    def fold_in(self) -> SoftmaxFoldIn:
        """Of p_u, from the movies that are liked."""
        return SoftmaxFoldIn(
            self.movie_vectors()[:-1].numpy(),
            l2=self._options.l2_embedding,
            liked_rating=self._options.liked_rating,
        )


def _with_one(vectors: tf.Tensor) -> tf.Tensor:
    return tf.concat([vectors, tf.ones_like(vectors[:, :1])], axis=1)
