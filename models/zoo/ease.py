"""EASE: a linear autoencoder in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns, row_count
from models.contracts import Contributions
from models.layers.choice_weights import ChoiceWeight, choice_weight
from models.layers.embeddings import with_mean_user, with_unknown_row
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics

# XᵀX, its eigenvectors and one copy that LAPACK or Eigen needs, in float64.
_BYTES_PER_PAIR: Final = 24
# Entries of X that are dense at a time.
_ENTRIES_AT_ONCE: Final = 1 << 23


class EASE(tf.Module):
    """s(u, i) = Σ_{j ≠ i} x_uj B_ji, with B the least |X − XB|² + λ|B|² of those with B_ii = 0.

    Source: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), equation 8:
    B_ji = −P_ji / P_ii with P = (XᵀX + λI)⁻¹. x_uj is the choice weight of the rating of j by u, 0
    without a rating. λ is `l2_embedding`.

    Let XᵀX = V diag(e) Vᵀ and w_j = V_j diag(e / (e + λ))^½. Then P = (I − W Wᵀ) / λ, and for
    j ≠ i B_ji = w_j · w_i / (1 − |w_i|²). The score is therefore the dot product of the user's
    Σ_j x_uj w_j and the movie's w_i / (1 − |w_i|²). The vectors keep the `dimension` largest e:
    scores are exact if it is at least the rank of X, which is at most the smaller of the numbers of
    users and movies. Only for a movie that the user rated does the dot product include j = i.

    An unknown user, and one whose ratings all weigh 0, gets the mean of the users' vectors.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables, `[n + 1, dimension]` and `[movies + 1, 1]`, float32.

        Raises:
            ValueError: The matrices over all pairs of movies exceed `memory_limit`.
        """
        super().__init__()
        del seed  # Nothing is random.
        needed = _BYTES_PER_PAIR * statistics.movies**2
        if needed > options.memory_limit << 20:
            raise ValueError(
                f"ease needs {needed / 2**20:,.0f} MiB for the pairs of {statistics.movies:,} "
                f"movies, and model.memory_limit is {options.memory_limit:,}: raise it, raise "
                "transform.min_ratings_per_movie, or take another model"
            )
        self._options = options
        self._statistics = statistics
        self._choice_weight = choice_weight(options, statistics)
        dimension = options.dimension
        self.user_embedding = tf.Variable(tf.zeros([statistics.users + 1, dimension]))
        self.movie_embedding = tf.Variable(tf.zeros([statistics.movies + 1, dimension]))
        self.movie_scale = tf.Variable(tf.ones([statistics.movies + 1, 1]))

    def fit(self, ratings: Columns, first_step: int) -> Iterator[float]:
        """Computes the vectors; see `models.contracts.FittingModel`.

        The loss is (|X − XB|² + λ|B|²) / n over n ratings. Every epoch gives the same.
        """
        del first_step
        statistics, l2 = self._statistics, self._options.l2_embedding
        user = tf.constant(ratings[features.USER_INDEX], tf.int64)
        movie = tf.constant(ratings[features.MOVIE_INDEX], tf.int64)
        weight = self._choice_weight(tf.constant(ratings[features.RATING], tf.float32))
        chosen = tf.sparse.reorder(
            tf.SparseTensor(
                tf.stack([user, movie], axis=1), weight, [statistics.users, statistics.movies]
            )
        )
        while True:
            w = _weighted_eigenvectors(_gram(chosen), l2)
            scale = 1 - tf.reduce_sum(tf.square(w), axis=1, keepdims=True)
            kept = tf.cast(w[:, : self._options.dimension], tf.float32)
            # A rank below the dimension leaves columns of zeros.
            kept = tf.pad(kept, [[0, 0], [0, self._options.dimension - kept.shape[1]]])
            users = tf.sparse.sparse_dense_matmul(chosen, kept)
            self.user_embedding.assign(with_mean_user(users, tf.sparse.reduce_sum(chosen, axis=1)))
            self.movie_embedding.assign(with_unknown_row(kept / tf.cast(scale, tf.float32)))
            self.movie_scale.assign(
                tf.pad(tf.cast(scale, tf.float32), [[0, 1], [0, 0]], constant_values=1)
            )
            loss = l2 * tf.reduce_sum(1 / scale - 1)
            yield float(loss) / row_count(ratings)

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself."""
        return dot

    def user_vectors(self) -> tf.Tensor:
        """Returns Σ_j x_uj w_j, 0 for each user, `[users + 1, dimension + 1]`."""
        return tf.pad(self.user_embedding, [[0, 0], [0, 1]])

    def movie_vectors(self) -> tf.Tensor:
        """Returns w_i / (1 − |w_i|²), 1 − |w_i|² for each movie, `[movies + 1, dimension + 1]`.

        The fold-in finds w_i from both.
        """
        return tf.concat([self.movie_embedding, self.movie_scale], axis=1)

    def fold_in(self) -> _WeightedSum:
        """Returns the sum over a new user's ratings, as in training."""
        return _WeightedSum(self.user_vectors()[-1].numpy(), self._choice_weight)


class _WeightedSum:
    """Σ_j x_uj w_j over a new user's ratings."""

    def __init__(self, start: np.ndarray[Any, np.dtype[np.float32]], weight: ChoiceWeight) -> None:
        """Creates the fold-in.

        Args:
            start: Vector of a user whose ratings all weigh 0, float32 `[d]`.
            weight: Function from ratings to their choice weights.
        """
        self._start = start
        self._weight = weight

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """See `models.contracts.FoldIn`."""
        weight, has_chosen = self._weights(vectors, rating, known)
        moved = tf.einsum("bn,bnd->bd", weight, vectors[:, :, :-1])
        return tf.where(has_chosen[:, tf.newaxis], tf.pad(moved, [[0, 0], [0, 1]]), self._start)

    def contributions(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor, movie: tf.Tensor
    ) -> Contributions:
        """Returns x_uj B_ji; see `models.contracts.FoldIn`."""
        weight, has_chosen = self._weights(vectors, rating, known)
        return Contributions(
            tf.where(has_chosen, 0.0, tf.linalg.matvec(movie, self._start)),
            weight * tf.linalg.matvec(vectors[:, :, :-1], movie[:, :-1]),
        )

    def _weights(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns x_uj (1 − |w_j|²), float32 `[B, N]`, and who chose anything, bool `[B]`."""
        chosen = self._weight(rating) * tf.cast(known, tf.float32)
        return chosen * vectors[:, :, -1], tf.reduce_sum(chosen, axis=1) > 0


def _gram(chosen: tf.SparseTensor) -> tf.Tensor:
    """Returns XᵀX, float64 `[movies, movies]`, for the choice weights X `[users, movies]`."""
    users, movies = chosen.shape
    at_once = max(1, _ENTRIES_AT_ONCE // movies)
    gram = tf.zeros([movies, movies], tf.float64)
    for start in range(0, users, at_once):
        part = tf.sparse.slice(chosen, [start, 0], [at_once, movies])
        part = tf.cast(part, tf.float64)
        # Weights of a pair that occurs twice are summed, as in the product.
        dense = tf.scatter_nd(part.indices, part.values, part.dense_shape)
        gram += tf.sparse.sparse_dense_matmul(part, dense, adjoint_a=True)
    return gram


def _weighted_eigenvectors(gram: tf.Tensor, l2: float) -> tf.Tensor:
    """Returns V diag(e / (e + λ))^½, the largest e first, float64 `[movies, movies]`."""
    values, vectors = tf.linalg.eigh(gram)
    # Rounding makes some of the zeros negative.
    values = tf.maximum(values[::-1], 0)
    return vectors[:, ::-1] * tf.sqrt(values / (values + l2))
