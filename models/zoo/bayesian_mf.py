"""Bayesian matrix factorisation with kernels, by Gibbs sampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns
from models.layers.embeddings import row_dot, rows
from models.layers.fold_in import SquaredErrorFoldIn
from models.layers.kernels import Kernel, implicit_kernel, side_kernel
from models.layers.mean_products import mean_product
from models.layers.rating_heads import NormalRating
from models.layers.row_systems import RowSystems
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics

# The values that the precision of a kernel is drawn from.
_KERNEL_PRECISIONS: Final = np.geomspace(1e-3, 1e5, 33)
_FIRST_NOISE_PRECISION: Final = 1.2
_FIRST_ROW_PRECISION: Final = 10.0
# Pairs of each user, and of each movie, by which the variances are measured.
_PAIRS_A_ROW: Final = 32
_VARIANCE_SWEEPS: Final = 5
# Random pairs of users and movies whose predictions tell whether the chain has converged.
_PREDICTIONS: Final = 1_000
# Of the mean variance: keeps the prior of a fold-in proper where users do not vary.
_LEAST_VARIANCE: Final = 1e-3


class BayesianMatrixFactorization(tf.Module):
    """r̂(u, i) is the mean of μ + b_u + c_i + p_u · q_i over draws from the posterior.

    A rating is normal, with precision α a_u d_i. θ_u = (p_u, b_u) is normal around
    m + Σ_k g_k(u), with precision Λ; g_k is a Gaussian process over users with kernel K_k / λ_k.
    So are φ_i = (q_i, c_i) around sums of their own. The first kernel of a side is F Fᵀ, where F
    says which movies a user rated, or which users rated a movie, over the root of their number. The
    second, where the data have side features, is that of age, gender and occupation, or of genres
    and year, centred: what is not known counts as the mean.
    Λ is Wishart, m normal with precision Λ, λ_k uniform over a grid of magnitudes, a_u and d_i
    Gamma(ν/2, ν/2), α Gamma(1, 1). Every epoch is a sweep: a Gibbs sampler draws all of them, each
    given the others. The first `burn_in` sweeps do not count.

    Sources: Salakhutdinov & Mnih, "Bayesian probabilistic matrix factorization using Markov chain
    Monte Carlo" (2008); the kernels are the feature weights of Simm et al., "Macau: scalable
    Bayesian factorization with high-dimensional side information using MCMC" (2017), integrated
    out; the sets of both sides are those of Rendle, Zhang & Koren, "On the difficulty of evaluating
    baselines" (2019).

    The weights are the mean as one product of rank `dimension`, whatever the number of draws. An
    unknown user is drawn as one who rated nothing, from the prior.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables of the mean, float32 `[n + 1, …]`, and the first draw."""
        super().__init__()
        self._statistics = statistics
        self._options = options
        self._seed = seed
        users, movies = statistics.users, statistics.movies
        self.offset = tf.Variable(statistics.rating_mean, trainable=False, dtype=tf.float32)
        self.user_embedding, self.movie_embedding = (
            tf.Variable(tf.zeros([known + 1, options.dimension])) for known in (users, movies)
        )
        self.user_bias, self.movie_bias = (
            tf.Variable(tf.zeros([known + 1, 1])) for known in (users, movies)
        )
        self.user_variance, self.movie_variance = (
            tf.Variable(tf.ones([known + 1, 1])) for known in (users, movies)
        )
        self.noise_variance = tf.Variable([1.0])
        self._side_kernels = [
            [] if (kernel := side_kernel(side.centred(known))) is None else [kernel]
            for side, known in zip(statistics.sides, (users, movies), strict=True)
        ]
        self.sides = [
            _Side(known, 1 + len(kernels), options, [seed, side])
            for side, (known, kernels) in enumerate(
                zip((users, movies), self._side_kernels, strict=True)
            )
        ]
        self.noise_precision = tf.Variable(_FIRST_NOISE_PRECISION, trainable=False)
        pairs = _PAIRS_A_ROW * (users + movies + 2)
        self.pair_means = tf.Variable(tf.zeros([3, pairs]), trainable=False)

    def fit(self, ratings: Columns, first_step: int) -> Iterator[float]:
        """Draws sweep after sweep; see `models.contracts.FittingModel`.

        The loss is the mean squared error of the draw, not of the mean.
        """
        sweep = tf.function(_Sweep(self, ratings).run, autograph=False)
        epoch = first_step
        while True:
            yield float(sweep(tf.constant(epoch)))
            epoch += 1

    def chain_scalars(self) -> dict[str, float]:
        """Returns α, log |Λ| of both sides together, and mean and variance of some predictions.

        One side alone does not settle: the other takes over what it loses in scale.
        """
        rng = np.random.default_rng(self._seed)
        thetas = [side.theta.numpy().astype(np.float64) for side in self.sides]
        users, movies = (theta[rng.integers(len(theta), size=_PREDICTIONS)] for theta in thetas)
        rating = (users[:, :-1] * movies[:, :-1]).sum(axis=1) + users[:, -1] + movies[:, -1]
        return {
            "noise precision": float(self.noise_precision),
            "log precision of both sides": sum(
                float(np.linalg.slogdet(side.precision.numpy())[1]) for side in self.sides
            ),
            "mean of predictions": float(self.offset) + float(rating.mean()),
            "variance of predictions": float(rating.var()),
        }

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns ratings within the range of the training ratings, float32 `[B]`.

        Args:
            user_index: int `[B]`; the number of known users stands for an unknown one.
            movie_index: int `[B]`; the number of known movies stands for an unknown one.
        """
        dot = row_dot(
            rows(self.user_embedding, user_index), rows(self.movie_embedding, movie_index)
        )
        bias = rows(self.user_bias, user_index) + rows(self.movie_bias, movie_index)
        return tf.clip_by_value(
            tf.squeeze(self.offset + bias + dot, axis=1),
            self._statistics.rating_min,
            self._statistics.rating_max,
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself: a rating that is not clipped."""
        return dot

    def user_vectors(self) -> tf.Tensor:
        """Returns the user's factor, μ + b_u, 1 for each user, `[users + 1, dimension + 2]`."""
        ones = tf.ones_like(self.user_bias)
        return tf.concat([self.user_embedding, self.offset + self.user_bias, ones], axis=1)

    def movie_vectors(self) -> tf.Tensor:
        """Returns the movie's factor, 1, c_i for each movie, `[movies + 1, dimension + 2]`.

        The dot with a user's vector is the score.
        """
        ones = tf.ones_like(self.movie_bias)
        return tf.concat([self.movie_embedding, ones, self.movie_bias], axis=1)

    def rating_head(self) -> NormalRating:
        """Returns a head that rates from the vectors, and knows the variance of a rating."""
        return NormalRating(self.user_variance, self.movie_variance)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Returns a ridge regression whose prior is the spread of the known users' vectors."""
        known = np.concatenate([self.user_embedding, self.user_bias], axis=1)
        spread = known[:-1] - known[-1]
        covariance = spread.T.astype(np.float64) @ spread / len(spread)
        least = max(_LEAST_VARIANCE * float(np.trace(covariance)) / len(covariance), 1e-9)
        covariance += least * np.eye(len(covariance))
        return SquaredErrorFoldIn(
            start=self.user_vectors()[-1].numpy(),
            penalty=np.zeros(len(covariance), np.float32),
            per_rating=False,
            gram=(float(self.noise_variance[0]) * np.linalg.inv(covariance)).astype(np.float32),
        )


class _Side(tf.Module):
    """The draw of one side: of all users, or of all movies.

    Attributes:
        theta: Vectors and, last, biases, float32 `[n, d]`.
        mean: m, float64 `[d]`.
        precision: Λ, float64 `[d, d]`.
        processes: g_k, float32 `[n, d]` each.
        noise: a or d, the factor of the noise precision of each row, float32 `[n]`.
    """

    def __init__(
        self, known: int, kernels: int, options: ModelOptions, seed: Sequence[int]
    ) -> None:
        super().__init__()
        size = options.draw_dimension + 1
        start = tf.random.stateless_normal(
            [known, options.draw_dimension], seed, stddev=options.init_stddev
        )
        self.theta = tf.Variable(tf.pad(start, [[0, 0], [0, 1]]), trainable=False)
        self.mean = tf.Variable(tf.zeros([size], tf.float64), trainable=False)
        self.precision = tf.Variable(
            _FIRST_ROW_PRECISION * tf.eye(size, dtype=tf.float64), trainable=False
        )
        self.processes = [
            tf.Variable(tf.zeros([known, size]), trainable=False) for _ in range(kernels)
        ]
        self.noise = tf.Variable(tf.ones([known]), trainable=False)


class Randomness:
    """Random numbers of one sweep: they depend on the seed, the sweep and their order alone."""

    def __init__(self, seed: int, sweep: tf.Tensor) -> None:
        """Starts the numbers of a sweep.

        Args:
            seed: Seed of the training.
            sweep: Number of the sweep, int32 scalar.
        """
        self._sweep = tf.random.experimental.stateless_fold_in(tf.constant([seed, 2]), sweep)
        self._drawn = 0

    def normal(self, shape: Any, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """Returns standard normal numbers."""
        return tf.random.stateless_normal(shape, self._seed(), dtype=dtype)

    def gamma(self, shape_parameter: tf.Tensor) -> tf.Tensor:
        """Returns a Gamma(shape, rate 1) number for each shape parameter, of the same dtype."""
        return tf.random.stateless_gamma(
            tf.shape(shape_parameter),
            self._seed(),
            alpha=shape_parameter,
            dtype=shape_parameter.dtype,
        )

    def choice(self, log_weights: tf.Tensor) -> tf.Tensor:
        """Returns a position, int64 scalar, with probability in proportion to its weight."""
        return tf.random.stateless_categorical(log_weights[tf.newaxis], 1, self._seed())[0, 0]

    def _seed(self) -> tf.Tensor:
        self._drawn += 1
        return tf.random.experimental.stateless_fold_in(self._sweep, self._drawn)


class _Sweep:
    """One sweep of the sampler over some ratings, and what it adds to the mean."""

    def __init__(self, model: BayesianMatrixFactorization, ratings: Columns) -> None:
        options, statistics = model._options, model._statistics
        self._model = model
        self._options = options
        user, movie = ratings[features.USER_INDEX], ratings[features.MOVIE_INDEX]
        users, movies = statistics.users, statistics.movies
        size = options.draw_dimension + 1
        self._systems = [
            RowSystems(user, movie, users, size),
            RowSystems(movie, user, movies, size),
        ]
        centred = ratings[features.RATING] - np.float32(statistics.rating_mean)
        self._targets = [tf.constant(centred[system.order]) for system in self._systems]
        self._counts = [
            tf.constant(np.bincount(row, minlength=known), tf.float32)
            for row, known in ((user, users), (movie, movies))
        ]
        rank = options.eigenvectors
        self._kernels = [
            [implicit_kernel(user, movie, users, movies, rank), *model._side_kernels[0]],
            [implicit_kernel(movie, user, movies, users, rank), *model._side_kernels[1]],
        ]
        self._pairs = _pairs(self._counts, model._seed)

    def run(self, sweep: tf.Tensor) -> tf.Tensor:
        """Draws everything once and returns the mean squared error of the draw.

        Args:
            sweep: Number of the sweep from 1, int32 scalar.
        """
        randomness = Randomness(self._model._seed, sweep)
        expected = [self._draw_prior(side, randomness) for side in (0, 1)]
        for side in (0, 1):
            self._draw_rows(side, expected[side], randomness)
        errors = self._errors()
        squares = tf.square(errors)
        self._draw_noise(squares, randomness)
        counted = tf.maximum(sweep - self._options.burn_in, 1)
        self._add_to_mean(1 / tf.cast(counted, tf.float64), randomness)
        return tf.reduce_mean(squares)

    def _draw_prior(self, place: int, randomness: Randomness) -> tf.Tensor:
        """Draws λ_k, g_k, Λ and m of a side, and returns m + Σ_k g_k, float32 `[n, d]`."""
        side = self._model.sides[place]
        lower = tf.linalg.cholesky(side.precision)
        scatter = tf.eye(self._size(), dtype=tf.float64)
        freedom = self._size() + 1 + _rows_of(side.theta)
        for kernel, process in zip(self._kernels[place], side.processes, strict=True):
            others = tf.add_n(side.processes) - process
            residual = side.theta - tf.cast(side.mean, tf.float32) - others
            gamma, scale = self._draw_process(kernel, residual, lower, randomness)
            process.assign(tf.matmul(kernel.vectors, tf.cast(gamma, tf.float32)))
            scatter += scale * tf.matmul(
                gamma / kernel.values[:, tf.newaxis], gamma, transpose_a=True
            )
            freedom += _rows_of(kernel.values)
        # Without the processes: what the normal distribution of the rows explains.
        own = tf.cast(side.theta - tf.add_n(side.processes), tf.float64)
        count = tf.cast(_rows_of(own), tf.float64)
        mean = tf.reduce_mean(own, axis=0)
        scatter += tf.matmul(own - mean, own - mean, transpose_a=True)
        scatter += count / (count + 1) * tf.tensordot(mean, mean, 0)
        side.precision.assign(_wishart(scatter, freedom, randomness))
        spread = tf.linalg.cholesky(side.precision * (count + 1))
        noise = randomness.normal([self._size(), 1], tf.float64)
        shift = tf.linalg.triangular_solve(spread, noise, adjoint=True)[:, 0]
        side.mean.assign(count / (count + 1) * mean + shift)
        return tf.cast(side.mean, tf.float32) + tf.add_n(side.processes)

    def _draw_process(
        self, kernel: Kernel, residual: tf.Tensor, lower: tf.Tensor, randomness: Randomness
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws λ and g = V γ of one kernel.

        Args:
            kernel: Kernel with eigenvectors V.
            residual: θ less all other means, float32 `[n, d]`.
            lower: Cholesky factor of Λ, float64 `[d, d]`.
            randomness: Random numbers of the sweep.

        Returns:
            γ, float64 `[rank, d]`, and λ, float64 scalar.
        """
        projected = tf.cast(tf.matmul(kernel.vectors, residual, transpose_a=True), tf.float64)
        energy = tf.reduce_sum(tf.square(tf.matmul(projected, lower)), axis=1)
        growth = 1 + kernel.values / _KERNEL_PRECISIONS[:, np.newaxis]
        log_weights = -0.5 * tf.reduce_sum(
            self._size() * tf.math.log(growth) + energy / growth, axis=1
        )
        scale = tf.gather(tf.constant(_KERNEL_PRECISIONS), randomness.choice(log_weights))
        kept = (kernel.values / (kernel.values + scale))[:, tf.newaxis]
        noise = randomness.normal([self._size(), _rows_of(kernel.values)], tf.float64)
        turned = tf.transpose(tf.linalg.triangular_solve(lower, noise, adjoint=True))
        return kept * projected + tf.sqrt(kept) * turned, scale

    def _draw_rows(self, place: int, expected: tf.Tensor, randomness: Randomness) -> None:
        """Draws θ of a side given the other side.

        Args:
            place: 0 for users, 1 for movies.
            expected: Means of the prior, float32 `[n, d]`.
            randomness: Random numbers of the sweep.
        """
        side, other = self._model.sides[place], self._model.sides[1 - place]
        system = self._systems[place]
        weight = self._model.noise_precision * tf.gather(side.noise, system.row)
        weight *= tf.gather(other.noise, system.other)
        theta = tf.convert_to_tensor(other.theta)
        precision = tf.cast(side.precision, tf.float32)
        side.theta.assign(
            system.solve(
                vectors=_with_one(theta),
                weight=weight,
                target=self._targets[place] - tf.gather(theta[:, -1], system.other),
                matrix=precision,
                right=tf.matmul(expected, precision),
                ridge=tf.zeros([_rows_of(side.theta)]),
                noise=randomness.normal(tf.shape(side.theta)),
            )
        )

    def _errors(self) -> tf.Tensor:
        """Returns ratings less their means under the draw, in the order of users, float32 `[n]`."""
        user, movie = (tf.convert_to_tensor(side.theta) for side in self._model.sides)
        system = self._systems[0]
        dots = system.dots(user, _with_one(movie))
        return self._targets[0] - dots - tf.gather(movie[:, -1], system.other)

    def _draw_noise(self, squares: tf.Tensor, randomness: Randomness) -> None:
        """Draws a, d and α.

        Args:
            squares: Squared errors in the order of users, float32 `[n]`.
            randomness: Random numbers of the sweep.
        """
        shape = self._options.noise_shape
        alpha, system = self._model.noise_precision, self._systems[0]
        positions = system.row, system.other
        for place, side in enumerate(self._model.sides):
            other = self._model.sides[1 - place].noise
            weighted = alpha * squares * tf.gather(other, positions[1 - place])
            sums = tf.math.unsorted_segment_sum(weighted, positions[place], _rows_of(side.noise))
            drawn = randomness.gamma((shape + self._counts[place]) / 2)
            side.noise.assign(drawn / ((shape + sums) / 2))
        factors = [
            tf.gather(side.noise, position)
            for side, position in zip(self._model.sides, positions, strict=True)
        ]
        total = tf.reduce_sum(tf.cast(squares * factors[0] * factors[1], tf.float64))
        drawn = randomness.gamma(1 + tf.cast(tf.size(squares), tf.float64) / 2)
        alpha.assign(tf.cast(drawn / (1 + total / 2), tf.float32))

    def _add_to_mean(self, share: tf.Tensor, randomness: Randomness) -> None:
        """Adds the draw to the means.

        Args:
            share: Weight of this draw in the mean, a float64 scalar.
            randomness: Random numbers of the sweep.
        """
        model = self._model
        # The mean of a row that has no ratings is that of the prior.
        users, movies = (
            tf.concat([side.theta, tf.cast(side.mean, tf.float32)[tf.newaxis]], axis=0)
            for side in model.sides
        )
        part = tf.cast(share, tf.float32)
        for bias, table in ((model.user_bias, users), (model.movie_bias, movies)):
            bias.assign_add(part * (table[:, -1:] - bias))
        user, movie = mean_product(
            model.user_embedding.read_value(),
            model.movie_embedding.read_value(),
            users[:, :-1],
            movies[:, :-1],
            share,
        )
        model.user_embedding.assign(user)
        model.movie_embedding.assign(movie)
        self._add_to_variances(part, randomness)

    def _add_to_variances(self, part: tf.Tensor, randomness: Randomness) -> None:
        """Adds the draw to the variances: Var(r_ui) is about s_u t_i, one number each.

        Source of the variance of a pair: the law of total variance, over the draws.
        """
        model = self._model
        thetas, noises = zip(
            *(self._with_new_row(side, randomness) for side in model.sides), strict=True
        )
        users, movies = (
            tf.gather(theta, pair) for theta, pair in zip(thetas, self._pairs, strict=True)
        )
        rating = tf.reduce_sum(users * _with_one(movies), axis=1) + movies[:, -1]
        noise = 1 / model.noise_precision
        for factor, pair in zip(noises, self._pairs, strict=True):
            noise /= tf.gather(factor, pair)
        drawn = tf.stack([rating, tf.square(rating), noise])
        model.pair_means.assign_add(part * (drawn - model.pair_means))
        mean, square, noise = tf.unstack(model.pair_means)
        variance = tf.maximum(square - tf.square(mean), 0) + noise
        self._assign_variances(variance)
        model.noise_variance.assign(tf.reduce_mean(noise, keepdims=True))

    def _with_new_row(self, side: _Side, randomness: Randomness) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns θ and the noise factors with a row that is drawn from the prior added last."""
        size = self._size()
        lower = tf.linalg.cholesky(side.precision)
        normal = randomness.normal([size, 1], tf.float64)
        new = side.mean + tf.linalg.triangular_solve(lower, normal, adjoint=True)[:, 0]
        half = tf.constant(self._options.noise_shape / 2, tf.float32)
        factor = randomness.gamma(half) / half
        return (
            tf.concat([side.theta, tf.cast(new, tf.float32)[tf.newaxis]], axis=0),
            tf.concat([side.noise, factor[tf.newaxis]], axis=0),
        )

    def _assign_variances(self, variance: tf.Tensor) -> None:
        """Fits log s_u + log t_i to the logarithms of the pairs' variances, by least squares."""
        model = self._model
        logs = tf.math.log(variance)
        tables = model.user_variance, model.movie_variance
        fitted = [tf.zeros([_rows_of(table)]) for table in tables]
        for _ in range(_VARIANCE_SWEEPS):
            for place in (0, 1):
                rest = logs - tf.gather(fitted[1 - place], self._pairs[1 - place])
                fitted[place] = tf.math.unsorted_segment_mean(
                    rest, self._pairs[place], _rows_of(tables[place])
                )
        # The mean of the variances is right, which the mean of their logarithms does not give.
        product = tf.exp(
            sum(tf.gather(fit, pair) for fit, pair in zip(fitted, self._pairs, strict=True))
        )
        right = tf.sqrt(tf.reduce_mean(variance) / tf.reduce_mean(product))
        for table, fit in zip(tables, fitted, strict=True):
            table.assign(right * tf.exp(fit)[:, tf.newaxis])

    def _size(self) -> int:
        return self._options.draw_dimension + 1


def _rows_of(table: tf.Tensor) -> int:
    """Returns the static number of rows."""
    return int(table.shape[0])


def _with_one(theta: tf.Tensor) -> tf.Tensor:
    """Returns vectors whose last entry, the bias, is 1 instead."""
    return tf.concat([theta[:, :-1], tf.ones_like(theta[:, :1])], axis=1)


def _wishart(scatter: tf.Tensor, freedom: int, randomness: Randomness) -> tf.Tensor:
    """Returns a draw of Wishart(freedom, scatter⁻¹) by Bartlett's decomposition, `[d, d]`."""
    size = _rows_of(scatter)
    below = tf.linalg.band_part(randomness.normal([size, size], tf.float64), -1, 0)
    chi_squared = 2 * randomness.gamma((freedom - tf.range(size, dtype=tf.float64)) / 2)
    triangle = tf.linalg.set_diag(below, tf.sqrt(chi_squared))
    root = tf.matmul(tf.linalg.cholesky(tf.linalg.inv(scatter)), triangle)
    return tf.matmul(root, root, transpose_b=True)


def _pairs(counts: Sequence[tf.Tensor], seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns users and movies, int32 `[n]` each, by which the variances are measured.

    Every row, the unknown one too, meets some rows of the other side, drawn by their number of
    ratings.
    """
    rng = np.random.default_rng(seed)
    sizes = [_rows_of(count) + 1 for count in counts]
    sides: list[list[Any]] = [[], []]
    for place in (0, 1):
        rows_ = np.repeat(np.arange(sizes[place]), _PAIRS_A_ROW)
        chances = counts[1 - place].numpy().astype(np.float64)
        others = rng.choice(len(chances), len(rows_), p=chances / chances.sum())
        sides[place].append(rows_)
        sides[1 - place].append(others)
    user, movie = (tf.constant(np.concatenate(side), tf.int32) for side in sides)
    return user, movie
