"""SVD++ of both sides, with side features, averaged over several members."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.contracts import Tables
from models.layers.embeddings import row_dot
from models.layers.featured_table import FeaturedTable
from models.layers.fold_in import SquaredErrorFoldIn
from models.layers.kernels import Kernel, implicit_kernel, side_kernel
from models.layers.rating_heads import DotProductRating
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.seen_movies import ratings_of


class SVDPlusPlus(tfrs.Model):
    """r̂(u, i) is the mean over members m of μ + b_u + c_i + p_um · q_im.

    The vectors and the bias of a user are o_u + |N(u)|^-½ Σ_{j ∈ N(u)} y_j + x_u A: the user's own,
    a part for each movie in N(u), those that the user rated, and one for each side feature, such as
    an occupation. Those of a movie are o_i + |N(i)|^-½ Σ_{v ∈ N(i)} z_v + x_i B, with N(i) those
    who rated it, and with genres and the year.

    y = V W, where the columns of V are the first right singular vectors of the matrix that has
    |N(u)|^-½ where u rated j. Few ratings would tell anything about the other directions. The sum
    is then f_u W, with f_u a row of the left singular vectors times the singular values: it costs
    the same however many movies a user rated, and gradients of W are well conditioned. So is z.
    Side features x are those of `bayesian_mf`: centred, so that what is not known counts as the
    mean.

    Every row and all of W, A and B have an L2 penalty of equal weight, whatever the number of
    ratings: a normal prior, which many ratings outweigh. Members differ by their first vectors and
    share the biases. The loss is the mean of theirs, so each is trained as if alone, but for the
    biases. The mean of their ratings is one dot product of all their vectors.

    Sources: one side is equation 15 of Koren, "Factorization meets the neighborhood" (2008), both
    are in Rendle, Zhang & Koren, "On the difficulty of evaluating baselines" (2019); the mean over
    members is that of Hansen & Salamon, "Neural network ensembles" (1990).

    An unknown user has rated nothing and gets μ + c_i, an unknown movie μ + b_u.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables, float32 `[n + 1, dimension + 1]`; the last column is the bias."""
        super().__init__()
        self._options = options
        self._statistics = statistics
        self.offset = tf.Variable(statistics.rating_mean, trainable=False, dtype=tf.float32)
        ratings = ratings_of(statistics.seen)
        users, movies = ratings[features.USER_INDEX], ratings[features.MOVIE_INDEX]
        sizes = statistics.users, statistics.movies
        self.users, self.movies = (
            FeaturedTable(
                start=_start(known, options, [seed, side]),
                features=tf.concat(
                    [
                        _features(
                            implicit_kernel(row, other, known, others, options.eigenvectors), known
                        ),
                        _features(side_kernel(statistics.sides[side].centred(known)), known),
                    ],
                    axis=1,
                ),
                counts=np.bincount(row, minlength=known),
            )
            for side, (row, other, known, others) in enumerate(
                ((users, movies, *sizes), (movies, users, *sizes[::-1]))
            )
        )
        # Which member each entry of a vector belongs to, `[dimension, members]`.
        # Each member has at least one entry.
        self._members = min(options.members, options.dimension)
        member = np.arange(options.dimension) * self._members // options.dimension
        self._of_member = np.eye(self._members, dtype=np.float32)[member]
        # The loss is a mean over members, and the penalty of vectors with it.
        self._l2 = np.array(
            [options.l2_embedding / self._members] * options.dimension + [options.l2_bias],
            np.float32,
        )

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the mean squared error over the batch and the members, and the batch's penalty.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Products of
                vectors are computed in the Keras policy's compute dtype.
            training: Unused; part of the `tfrs.Model` contract.
        """
        users, movies = inputs[features.USER_INDEX], inputs[features.MOVIE_INDEX]
        user_rows, movie_rows = self.users.lookup(users), self.movies.lookup(movies)
        products = tf.cast(user_rows[:, :-1], self.compute_dtype) * tf.cast(
            movie_rows[:, :-1], self.compute_dtype
        )
        dots = tf.matmul(tf.cast(products, tf.float32), self._of_member)
        predicted = self.offset + user_rows[:, -1:] + movie_rows[:, -1:] + dots
        ratings = self._statistics.ratings
        return (
            tf.reduce_mean(tf.square(inputs[features.RATING][:, tf.newaxis] - predicted))
            + self.users.penalty(users, self._l2, ratings)
            + self.movies.penalty(movies, self._l2, ratings)
        )

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns ratings within the range of the training ratings, float32 `[B]`.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one.
            movie_index: int `[B]`; the number of known movies stands for an unknown one.
        """
        user_rows, movie_rows = self.users.lookup(user_index), self.movies.lookup(movie_index)
        dot = row_dot(user_rows[:, :-1], movie_rows[:, :-1]) / self._members
        return tf.clip_by_value(
            tf.squeeze(self.offset + user_rows[:, -1:] + movie_rows[:, -1:] + dot, axis=1),
            self._statistics.rating_min,
            self._statistics.rating_max,
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself: a rating that is not clipped."""
        return dot

    def tables(self) -> Tables:
        """Returns the rows of users and of movies, with what their features say."""
        return Tables(user=(self.users,), movie=(self.movies,))

    def user_vectors(self) -> tf.Tensor:
        """Returns the users' vectors over √members, μ + b_u, 1, `[users + 1, dimension + 2]`."""
        table = tf.convert_to_tensor(self.users)
        vectors, bias = table[:, :-1], table[:, -1:]
        return tf.concat([self._scale() * vectors, self.offset + bias, tf.ones_like(bias)], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """Returns the movies' vectors over √members, 1, c_i, `[movies + 1, dimension + 2]`.

        The dot with a user's vector is the score.
        """
        table = tf.convert_to_tensor(self.movies)
        vectors, bias = table[:, :-1], table[:, -1:]
        return tf.concat([self._scale() * vectors, tf.ones_like(bias), bias], axis=1)

    def rating_head(self) -> DotProductRating:
        """Returns a head that rates from the vectors alone."""
        return DotProductRating(self.score_of)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Returns a ridge regression for the mean of the members, with the penalty of a row."""
        options = self._options
        return SquaredErrorFoldIn(
            start=self.user_vectors()[-1].numpy(),
            penalty=np.array(
                [options.l2_embedding] * options.dimension + [options.l2_bias], np.float32
            ),
            per_rating=False,
        )

    def _scale(self) -> float:
        return float(self._members**-0.5)


def _start(known: int, options: ModelOptions, seed: list[int]) -> tf.Tensor:
    """Returns normal vectors and biases of zero, float32 `[known, dimension + 1]`."""
    vectors = tf.random.stateless_normal(
        [known, options.dimension], seed, stddev=options.init_stddev
    )
    return tf.pad(vectors, [[0, 0], [0, 1]])


def _features(kernel: Kernel | None, known: int) -> tf.Tensor:
    """Returns features f with f fᵀ the kernel, float32 `[known, rank]`; none without one."""
    if kernel is None:
        return tf.zeros([known, 0])
    return kernel.vectors * tf.cast(tf.sqrt(kernel.values), tf.float32)
