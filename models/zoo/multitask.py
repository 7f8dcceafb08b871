"""Ratings and retrieval from one pair of towers, trained as two tasks."""

from __future__ import annotations

import tensorflow as tf

from models import features
from models.contracts import Tables
from models.layers.embeddings import row_dot, rows
from models.layers.fold_in import SoftmaxFoldIn
from models.layers.rating_heads import WeightedDotProductRating
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.zoo.two_tower import TwoTower


class MultitaskModel(TwoTower):
    """s(u, i) of `two_tower`, and r̂(u, i) = μ + b_u + c_i + Σ_d a_d p_ud q_id.

    The rating is a weighted dot product of the vectors that retrieve movies: the generalised matrix
    factorisation of He et al., "Neural collaborative filtering" (2017), without activation. The
    weights are there because what users watch and how much they like it vary along different
    directions.

    The loss is `rating_weight` times the mean squared error of the ratings plus `retrieval_weight`
    times the loss of `two_tower`, for which the user chose every rated movie. If only liked movies
    counted, the vectors would reveal the ratings that they are trained on and predict no others.

    An unknown user gets μ + c_i and the most popular movies, an unknown movie μ + b_u.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Adds rating biases `[n + 1, 1]` and the weights a `[1, dimension]` to the towers."""
        super().__init__(statistics, options, seed)
        self.offset = tf.Variable(statistics.rating_mean, trainable=False, dtype=tf.float32)
        self.user_rating_bias = tf.Variable(tf.zeros([statistics.users + 1, 1]))
        self.movie_rating_bias = tf.Variable(tf.zeros([statistics.movies + 1, 1]))
        self.rating_scale = tf.Variable(tf.zeros([1, options.dimension]))

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the weighted sum of both losses plus the mean penalty of the rows used.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`.
            training: Unused; part of the `tfrs.Model` contract.
        """
        users, movies = inputs[features.USER_INDEX], inputs[features.MOVIE_INDEX]
        squared_error = tf.square(inputs[features.RATING] - self._rating(users, movies))
        bias_penalty = tf.square(rows(self.user_rating_bias, users)) + tf.square(
            rows(self.movie_rating_bias, movies)
        )
        return (
            self._options.rating_weight * tf.reduce_mean(squared_error)
            + self._options.retrieval_weight * self._retrieval_loss(inputs)
            + self._options.l2_embedding * self._penalty(inputs)
            + self._options.l2_bias * tf.reduce_mean(bias_penalty)
        )

    def tables(self) -> Tables:
        """Returns the tables of `two_tower`, the biases of the ratings, and the weights a."""
        towers = super().tables()
        return Tables(
            user=(*towers.user, self.user_rating_bias),
            movie=(*towers.movie, self.movie_rating_bias),
            shared=(self.rating_scale,),
        )

    def fold_in(self) -> SoftmaxFoldIn:
        """Returns a fold-in of p_u from all rated movies, whatever their ratings."""
        return SoftmaxFoldIn(
            self.movie_vectors()[:-1].numpy(),
            l2=self._options.l2_embedding,
            choice_weight=tf.ones_like,
            weight=self._options.retrieval_weight,
        )

    def _retrieval_weight(self, rating: tf.Tensor) -> tf.Tensor:
        return tf.ones_like(rating)

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns ratings within the range of the training ratings, float32 `[B]`.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one.
            movie_index: int `[B]`; the number of known movies stands for an unknown one.
        """
        return tf.clip_by_value(
            self._rating(user_index, movie_index),
            self._statistics.rating_min,
            self._statistics.rating_max,
        )

    def rating_head(self) -> WeightedDotProductRating:
        """Returns a head with the weights a and both biases; b_i of `two_tower` gets weight 0."""
        return WeightedDotProductRating(
            weight=tf.concat([self.rating_scale[0], [0.0]], axis=0),
            user_bias=self.offset + self.user_rating_bias,
            movie_bias=self.movie_rating_bias,
        )

    def _rating(self, users: tf.Tensor, movies: tf.Tensor) -> tf.Tensor:
        """Returns ratings that are not clipped, `[B]`."""
        user_vectors = self.rating_scale * rows(self.user_embedding, users)
        dot = row_dot(user_vectors, rows(self.movie_embedding, movies))
        bias = rows(self.user_rating_bias, users) + rows(self.movie_rating_bias, movies)
        return tf.squeeze(self.offset + bias + dot, axis=1)
