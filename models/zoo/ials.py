"""iALS: matrix factorisation of what users chose, by alternating least squares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import tensorflow as tf

from models import features
from models.columns import Columns, row_count
from models.layers.choice_weights import choice_weight
from models.layers.embeddings import normal_vectors, with_mean_user, with_unknown_row
from models.layers.fold_in import ImplicitFoldIn
from models.layers.row_systems import RowSystems
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics

# Keeps the system of a row solvable that chose nothing, where nothing else does.
_LEAST_RIDGE: Final = 1e-6


class ImplicitALS(tf.Module):
    """s(u, i) = p_u · q_i, which is to be 1 where u chose i, and 0 elsewhere with a low weight.

    The loss over all users u and movies i is Σ g_ui (1 − s)² + a Σ s² + λ Σ_u (g_u + a M) |p_u|²
    + λ Σ_i (g_i + a U) |q_i|². g_ui is the choice weight of a rating, 0 without one, g_u and g_i
    are its sums, M and U the numbers of movies and users, a is `gravity` and λ `l2_embedding`. An
    epoch minimises it exactly for all users, then for all movies.

    Sources: Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets" (2008);
    the regularisation is that of Rendle, Krichene, Zhang & Koren, "Revisiting the performance of
    iALS on item recommendation benchmarks" (2022).

    An unknown user, and one whose ratings all weigh 0, gets the mean of the users' vectors.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables, float32 `[n + 1, dimension]`."""
        super().__init__()
        self._options = options
        self._statistics = statistics
        self._choice_weight = choice_weight(options, statistics)
        self.user_embedding, self.movie_embedding = (
            tf.Variable(
                normal_vectors(known, options.dimension, options.init_stddev, [seed, place])
            )
            for place, known in enumerate((statistics.users, statistics.movies))
        )

    def fit(self, ratings: Columns, first_step: int) -> Iterator[float]:
        """Alternates between users and movies; see `models.contracts.FittingModel`.

        The loss is that of the class over the number of ratings.
        """
        del first_step
        epoch = tf.function(_Alternation(self, ratings).epoch, autograph=False)
        while True:
            yield float(epoch()) / row_count(ratings)

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself."""
        return dot

    def user_vectors(self) -> tf.Tensor:
        """Returns p_u for each user, `[users + 1, dimension]`."""
        return tf.convert_to_tensor(self.user_embedding)

    def movie_vectors(self) -> tf.Tensor:
        """Returns q_i for each movie, `[movies + 1, dimension]`."""
        return tf.convert_to_tensor(self.movie_embedding)

    def fold_in(self) -> ImplicitFoldIn:
        """Returns the step for one user, as in training."""
        movies = self.movie_embedding.numpy()[:-1]
        return ImplicitFoldIn(
            start=self.user_embedding.numpy()[-1],
            gram=self._options.gravity * (movies.T @ movies),
            l2=self._options.l2_embedding,
            constant=self._options.gravity * self._statistics.movies,
            choice_weight=self._choice_weight,
        )


class _Alternation:
    """An epoch of `ImplicitALS` over some ratings."""

    def __init__(self, model: ImplicitALS, ratings: Columns) -> None:
        options = model._options
        statistics = model._statistics
        self._model = model
        self._gravity = options.gravity
        self._l2 = options.l2_embedding
        sides = (features.USER_INDEX, statistics.users), (features.MOVIE_INDEX, statistics.movies)
        (user, users), (movie, movies) = ((ratings[name], size) for name, size in sides)
        self._by_user = RowSystems(user, movie, users, options.dimension)
        self._by_movie = RowSystems(movie, user, movies, options.dimension)
        weight = model._choice_weight(tf.constant(ratings[features.RATING], tf.float32))
        self._user_weight = tf.gather(weight, self._by_user.order)
        self._movie_weight = tf.gather(weight, self._by_movie.order)
        self._user_sums = tf.math.unsorted_segment_sum(self._user_weight, self._by_user.row, users)
        self._movie_sums = tf.math.unsorted_segment_sum(
            self._movie_weight, self._by_movie.row, movies
        )

    def epoch(self) -> tf.Tensor:
        """Solves for the users, then for the movies, and returns the loss, a float32 scalar."""
        model = self._model
        movie_vectors = model.movie_embedding[:-1]
        user_vectors = self._solved(
            self._by_user, self._user_weight, self._user_sums, movie_vectors
        )
        movie_vectors = self._solved(
            self._by_movie, self._movie_weight, self._movie_sums, user_vectors
        )
        model.user_embedding.assign(with_mean_user(user_vectors, self._user_sums))
        model.movie_embedding.assign(with_unknown_row(movie_vectors))
        return self._loss(user_vectors, movie_vectors)

    def _solved(
        self, side: RowSystems, weight: tf.Tensor, sums: tf.Tensor, others: tf.Tensor
    ) -> tf.Tensor:
        """Returns the vectors of one side, given those of the other, float32 `[rows, d]`."""
        return side.solve(
            vectors=others,
            weight=weight,
            target=tf.ones_like(weight),
            matrix=self._gravity * tf.matmul(others, others, transpose_a=True),
            right=tf.zeros([tf.size(sums), tf.shape(others)[1]]),
            ridge=self._ridge(sums, others),
        )

    def _ridge(self, sums: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """Returns the factor of |p_u|² or |q_i|² in the loss, float32 `[rows]`."""
        ridge = self._l2 * (sums + self._gravity * tf.cast(tf.shape(others)[0], tf.float32))
        return tf.maximum(ridge, _LEAST_RIDGE)

    def _loss(self, user_vectors: tf.Tensor, movie_vectors: tf.Tensor) -> tf.Tensor:
        """Returns the loss after the movies are solved for.

        A solution q with q = A⁻¹ b has qᵀ A q = q · b. Of the movies' terms Σ g − 2 q · b + qᵀ A q
        remains Σ g − q · b.
        """
        dots = self._by_movie.dots(movie_vectors, user_vectors)
        penalty = tf.tensordot(
            self._ridge(self._user_sums, movie_vectors),
            tf.reduce_sum(tf.square(user_vectors), axis=1),
            1,
        )
        return tf.reduce_sum(self._movie_weight * (1 - dots)) + penalty
