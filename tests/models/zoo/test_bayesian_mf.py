"""The Gibbs sampler against the conditional distributions, by NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.columns import Columns
from models.contracts import Pairs
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics, measure
from models.side_features import Sides, side_features
from models.zoo import bayesian_mf
from models.zoo.bayesian_mf import BayesianMatrixFactorization, Randomness
from tests.models.factories import rated_by_head, trained_like

USERS, MOVIES, K, NU, BURN_IN = 14, 11, 2, 6.0, 2


def ratings(rng: np.random.Generator) -> Columns:
    pairs = np.sort(rng.permutation(USERS * MOVIES)[:90])
    return {
        "user_index": (pairs // MOVIES).astype(np.int32),
        "movie_index": (pairs % MOVIES).astype(np.int32),
        "rating": rng.integers(1, 6, len(pairs)).astype(np.float32),
    }


AGES = side_features([[f"age={row % 3}"] if row != 4 else [] for row in range(USERS)])
GENRES = side_features([[f"genre={row % 2}", f"genre={row % 3}"] for row in range(MOVIES)])
SIDES = Sides(AGES, GENRES)


def measured(columns: Columns) -> RatingStatistics:
    return measure(columns, USERS, MOVIES, sides=SIDES)


def build(columns: Columns, seed: int = 1, **changes: Any) -> BayesianMatrixFactorization:
    options = {
        "name": "bayesian_mf",
        "dimension": 2 * K,
        "draw_dimension": K,
        "noise_shape": NU,
        "burn_in": BURN_IN,
        "init_stddev": 0.1,
        **changes,
    }
    return BayesianMatrixFactorization(
        measured(columns), ModelOptions.model_validate(options), seed
    )


@dataclass
class Record:
    """What was asked of the random numbers, and what they were."""

    normals: list[np.ndarray] = field(default_factory=list)
    gammas: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    choices: list[tuple[np.ndarray, int]] = field(default_factory=list)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    """Records the random numbers of sweeps, which run eagerly."""
    kept = Record()

    class Recording(Randomness):
        def normal(self, shape: Any, dtype: tf.DType = tf.float32) -> tf.Tensor:
            drawn = super().normal(shape, dtype)
            kept.normals.append(drawn.numpy().astype(np.float64))
            return drawn

        def gamma(self, shape_parameter: tf.Tensor) -> tf.Tensor:
            drawn = super().gamma(shape_parameter)
            kept.gammas.append((shape_parameter.numpy(), drawn.numpy().astype(np.float64)))
            return drawn

        def choice(self, log_weights: tf.Tensor) -> tf.Tensor:
            drawn = super().choice(log_weights)
            kept.choices.append((log_weights.numpy(), int(drawn)))
            return drawn

    monkeypatch.setattr(bayesian_mf, "Randomness", Recording)
    tf.config.run_functions_eagerly(True)
    yield kept
    tf.config.run_functions_eagerly(False)


@dataclass
class Side:
    theta: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    processes: list[np.ndarray]
    noise: np.ndarray


def snapshot(model: BayesianMatrixFactorization) -> tuple[list[Side], float]:
    def array(variable: tf.Variable) -> np.ndarray:
        return variable.numpy().astype(np.float64)

    sides = [
        Side(
            array(side.theta),
            array(side.mean),
            array(side.precision),
            [array(process) for process in side.processes],
            array(side.noise),
        )
        for side in model.sides
    ]
    return sides, float(model.noise_precision)


def normalised_sets(columns: Columns) -> list[np.ndarray]:
    seen = np.zeros((USERS, MOVIES))
    seen[columns["user_index"], columns["movie_index"]] = 1
    return [f / np.sqrt(np.maximum(f.sum(axis=1, keepdims=True), 1)) for f in (seen, seen.T)]


def draw_process(
    side: Side, place: int, vectors: np.ndarray, values: np.ndarray, drawn: Record
) -> tuple[np.ndarray, float]:
    """γ and λ of a kernel; checks the weights of each λ."""
    d = K + 1
    others = sum(process for other, process in enumerate(side.processes) if other != place)
    residual = vectors.T @ (side.theta - side.mean - others)
    grid = 10.0 ** np.linspace(-3, 5, 33)
    log_weights, chosen = drawn.choices.pop(0)
    expected = []
    for scale in grid:
        total = 0.0
        for value, row in zip(values, residual, strict=True):
            total += -d / 2 * np.log(1 + value / scale)
            total -= row @ side.precision @ row / (2 * (1 + value / scale))
        expected.append(total)
    np.testing.assert_allclose(log_weights, expected, rtol=1e-4)
    scale = grid[chosen]
    kept = values / (values + scale)
    noise = np.linalg.solve(np.linalg.cholesky(side.precision).T, drawn.normals.pop(0)).T
    gamma = kept[:, np.newaxis] * residual + np.sqrt(kept)[:, np.newaxis] * noise
    return gamma, scale


def draw_prior(
    side: Side, kernels: list[tuple[np.ndarray, np.ndarray]], drawn: Record
) -> np.ndarray:
    """λ, g, Λ and m of a side, from the numbers drawn; checks the shapes asked for."""
    d, n = K + 1, len(side.theta)
    scatter, freedom = np.eye(d), d + 1 + n
    for place, (vectors, values) in enumerate(kernels):
        gamma, scale = draw_process(side, place, vectors, values, drawn)
        side.processes[place] = vectors @ gamma
        scatter += scale * (gamma.T / values) @ gamma
        freedom += len(values)
    own = side.theta - sum(side.processes)
    mean = own.mean(axis=0)
    scatter += (own - mean).T @ (own - mean) + n / (n + 1) * np.outer(mean, mean)
    below = np.tril(drawn.normals.pop(0), -1)
    shapes, chi = drawn.gammas.pop(0)
    np.testing.assert_allclose(shapes, [(freedom - place) / 2 for place in range(d)])
    triangle = below + np.diag(np.sqrt(2 * chi))
    root = np.linalg.cholesky(np.linalg.inv(scatter)) @ triangle
    side.precision = root @ root.T
    spread = np.linalg.cholesky((n + 1) * side.precision)
    side.mean = n / (n + 1) * mean + np.linalg.solve(spread.T, drawn.normals.pop(0))[:, 0]
    return side.mean + sum(side.processes)


def draw_rows(place: int, sides: list[Side], alpha: float, prior: np.ndarray, columns: Columns,
              normals: np.ndarray) -> None:  # fmt: skip
    side, other = sides[place], sides[1 - place]
    indices = columns["user_index"], columns["movie_index"]
    mean = measured(columns).rating_mean
    for row in range(len(side.theta)):
        system, right = side.precision.copy(), side.precision @ prior[row]
        for mate, stars in zip(
            indices[1 - place][indices[place] == row],
            columns["rating"][indices[place] == row],
            strict=True,
        ):
            z = np.append(other.theta[mate, :K], 1)
            weight = alpha * side.noise[row] * other.noise[mate]
            system += weight * np.outer(z, z)
            right += weight * (stars - mean - other.theta[mate, K]) * z
        lower = np.linalg.cholesky(system)
        side.theta[row] = np.linalg.solve(lower.T, np.linalg.solve(lower, right) + normals[row])


def predicted(sides: list[Side], mean: float) -> np.ndarray:
    user, movie = (side.theta for side in sides)
    return mean + user[:, :K] @ movie[:, :K].T + user[:, K:] + movie[:, K:].T


def test_a_sweep_draws_each_part_given_the_others(rng: np.random.Generator, record: Record) -> None:
    columns = ratings(rng)
    model = build(columns)
    sweeps = model.fit(columns, 1)
    # From a state with nothing at its start value.
    next(sweeps), next(sweeps)
    sides, alpha = snapshot(model)
    for kept in (record.normals, record.gammas, record.choices):
        kept.clear()
    loss = next(sweeps)

    kernels = []
    for place, features in enumerate(normalised_sets(columns)):
        # Eigenvectors are free in sign, and the draw depends on it: those of the model, checked.
        values, _ = np.linalg.eigh(features @ features.T)
        values = values[::-1]
        values = values[values > 1e-6 * values[0]]
        known = SIDES[place].centred(len(features))
        kernels.append([(eigenvectors(features, columns, place), values), of_features(known)])
    priors = [
        draw_prior(side, of_side, record) for side, of_side in zip(sides, kernels, strict=True)
    ]
    for place in (0, 1):
        draw_rows(place, sides, alpha, priors[place], columns, record.normals.pop(0))
    mean = measured(columns).rating_mean
    pairs = columns["user_index"], columns["movie_index"]
    errors = columns["rating"] - predicted(sides, mean)[pairs]
    for place in (0, 1):
        other = sides[1 - place].noise[pairs[1 - place]]
        sums = np.bincount(pairs[place], alpha * other * errors**2, len(sides[place].noise))
        shapes, drawn = record.gammas.pop(0)
        counts = np.bincount(pairs[place], minlength=len(sums))
        np.testing.assert_allclose(shapes, (NU + counts) / 2)
        sides[place].noise = drawn / ((NU + sums) / 2)
    shape, drawn = record.gammas.pop(0)
    assert shape == 1 + len(errors) / 2
    weights = sides[0].noise[pairs[0]] * sides[1].noise[pairs[1]]
    alpha = float(drawn / (1 + np.sum(weights * errors**2) / 2))

    found, found_alpha = snapshot(model)
    assert found_alpha == pytest.approx(alpha, rel=1e-3)
    assert loss == pytest.approx(np.mean(errors**2), rel=1e-3)
    for one, expected in zip(found, sides, strict=True):
        for name, value in vars(expected).items():
            np.testing.assert_allclose(getattr(one, name), value, rtol=2e-3, atol=2e-3)


def eigenvectors(features: np.ndarray, columns: Columns, place: int) -> np.ndarray:
    """The eigenvectors in the model's signs, after a check that they are such."""
    names = ("user_index", "movie_index") if place == 0 else ("movie_index", "user_index")
    kernel = bayesian_mf.implicit_kernel(
        *(columns[name] for name in names), *features.shape, ModelOptions().eigenvectors
    )
    vectors = kernel.vectors.numpy().astype(np.float64)
    np.testing.assert_allclose(
        vectors * kernel.values.numpy(), features @ features.T @ vectors, atol=1e-5
    )
    return vectors


def of_features(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvectors in the model's signs, after a check that they are such, and eigenvalues."""
    kernel = bayesian_mf.side_kernel(features)
    vectors, values = kernel.vectors.numpy().astype(np.float64), kernel.values.numpy()
    expected = features @ features.T / np.mean(np.sum(features**2, axis=1))
    np.testing.assert_allclose((vectors * values) @ vectors.T, expected, atol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-6)
    return vectors, values


def test_the_mean_is_that_of_the_draws_after_the_burn_in(rng: np.random.Generator) -> None:
    columns = ratings(rng)
    # The rank of four draws, so that nothing is lost.
    model = build(columns, dimension=4 * K)
    kept = []
    for epoch, _ in enumerate(islice(model.fit(columns, 1), BURN_IN + 4), start=1):
        sides, _ = snapshot(model)
        if epoch <= BURN_IN:
            kept = []
        kept.append(predicted(sides, measured(columns).rating_mean))
        users, movies = model.user_vectors().numpy(), model.movie_vectors().numpy()
        expected = kept[-1] if epoch <= BURN_IN else np.mean(kept[-(epoch - BURN_IN) :], axis=0)
        np.testing.assert_allclose((users @ movies.T)[:-1, :-1], expected, atol=1e-4)


def test_the_scalars_are_the_same_however_the_dimensions_are_turned(
    rng: np.random.Generator,
) -> None:
    columns = ratings(rng)
    model = build(columns)
    next(model.fit(columns, 1))
    found = model.chain_scalars()
    sides, alpha = snapshot(model)
    assert found["noise precision"] == pytest.approx(alpha, rel=1e-6)
    both = [*np.linalg.eigvalsh(sides[0].precision), *np.linalg.eigvalsh(sides[1].precision)]
    assert found["log precision of both sides"] == pytest.approx(np.log(both).sum(), rel=1e-9)
    # A thousand draws from 14 × 11 pairs: close to all of them.
    everything = predicted(sides, measured(columns).rating_mean)
    spread = everything.std()
    assert found["mean of predictions"] == pytest.approx(everything.mean(), abs=0.15 * spread)
    assert found["variance of predictions"] == pytest.approx(spread**2, rel=0.3)
    # The vectors of users turn and grow, those of movies turn along and shrink.
    turn = np.linalg.qr(rng.normal(size=(K, K)))[0]
    for side, scale in zip(model.sides, (3.0, 1 / 3.0), strict=True):
        whole = np.eye(K + 1)
        whole[:K, :K] = scale * turn
        side.theta.assign(side.theta.numpy() @ whole)
        inverse = np.linalg.inv(whole)
        side.precision.assign(inverse @ side.precision.numpy() @ inverse.T)
    assert model.chain_scalars() == pytest.approx(found, rel=1e-5)


def test_an_unknown_user_gets_the_mean_of_the_prior(rng: np.random.Generator) -> None:
    columns = ratings(rng)
    model = build(columns)
    next(model.fit(columns, 1))
    sides, _ = snapshot(model)
    mean, movie = sides[0].mean, sides[1].theta
    scores = model.user_vectors().numpy()[-1] @ model.movie_vectors().numpy()[:-1].T
    expected = measured(columns).rating_mean + mean[K] + movie[:, K] + movie[:, :K] @ mean[:K]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def made_up(rng: np.random.Generator) -> tuple[Columns, Columns]:
    """Ratings of a known noise, 0.6, that differs by user: half have twice that of the others."""
    users, movies, count = 90, 60, 3000
    theta, phi = rng.normal(0, 0.5, (users, 3)), rng.normal(0, 0.5, (movies, 3))
    spread = np.where(np.arange(users) < users // 2, 0.4, 0.8)
    pairs = rng.permutation(users * movies)[:count]
    user, movie = pairs // movies, pairs % movies
    mean = 3 + theta[user, 0] + phi[movie, 0] + np.sum(theta[user, 1:] * phi[movie, 1:], axis=1)
    columns = {
        "user_index": user.astype(np.int32),
        "movie_index": movie.astype(np.int32),
        "rating": (mean + spread[user] * rng.normal(size=count)).astype(np.float32),
    }
    train = {name: values[:2400] for name, values in columns.items()}
    order = np.argsort(train["user_index"], kind="stable")
    return (
        {name: values[order] for name, values in train.items()},
        {name: values[2400:] for name, values in columns.items()},
    )


def test_the_variances_tell_how_far_the_ratings_are_from_the_predictions(
    rng: np.random.Generator,
) -> None:
    train, test = made_up(rng)
    statistics = measure(train, 90, 60)
    options = ModelOptions(
        name="bayesian_mf", dimension=16, draw_dimension=3, burn_in=30, init_stddev=0.1
    )
    model = BayesianMatrixFactorization(statistics, options, seed=1)
    list(islice(model.fit(train, 1), 130))
    user, movie = test["user_index"], test["movie_index"]
    errors = model.predict_rating(user, movie).numpy() - test["rating"]
    nowhere = tf.zeros([len(user), 1])
    variance = model.rating_head().variance(
        Pairs(tf.constant(user), tf.constant(movie), nowhere, nowhere)
    )
    # The mean square of 600 normal numbers is within 6 % of 1 nine times in ten.
    assert np.mean(errors**2 / variance.numpy()) == pytest.approx(1, abs=0.15)
    quiet = user < 45
    assert variance.numpy()[quiet].mean() < 0.6 * variance.numpy()[~quiet].mean()
    # What nobody could predict is 0.4 of the mean square; the mean of the ratings leaves 1.1.
    assert np.mean(errors**2) < 0.62


def test_the_head_rates_by_the_vectors_and_holds_only_the_variances(
    rng: np.random.Generator,
) -> None:
    model = trained_like("bayesian_mf", rng)
    expected = model.user_vectors().numpy() @ model.movie_vectors().numpy().T
    np.testing.assert_allclose(rated_by_head(model), expected, rtol=1e-5, atol=1e-5)
    shapes = {tuple(variable.shape) for variable in model.rating_head().variables}
    assert shapes == {tuple(model.user_variance.shape), tuple(model.movie_variance.shape)}


def test_the_fold_in_is_the_ridge_whose_prior_is_the_known_users(
    rng: np.random.Generator,
) -> None:
    columns = ratings(rng)
    model = build(columns, dimension=3)
    list(islice(model.fit(columns, 1), 8))
    known = np.concatenate([model.user_embedding, model.user_bias], axis=1).astype(np.float64)
    spread = known[:-1] - known[-1]
    covariance = spread.T @ spread / USERS
    covariance += 1e-3 * np.trace(covariance) / 4 * np.eye(4)
    rated, stars = np.array([2, 5, 7]), np.array([5.0, 1.0, 4.0])
    x = np.concatenate([model.movie_embedding.numpy()[rated], np.ones((3, 1))], axis=1)
    offset = float(model.offset)
    left = stars - offset - model.movie_bias.numpy()[rated, 0] - x @ known[-1]
    ridge = float(model.noise_variance[0]) * np.linalg.inv(covariance)
    moved = known[-1] + np.linalg.solve(x.T @ x + ridge, x.T @ left)
    vectors = tf.gather(model.movie_vectors(), rated[np.newaxis])
    found = model.fold_in()(vectors, stars[np.newaxis].astype(np.float32), tf.ones([1, 3], tf.bool))
    np.testing.assert_allclose(found[0], [*moved[:3], offset + moved[3], 1], rtol=1e-3, atol=1e-4)


def test_a_seed_gives_the_same_draws_and_another_seed_others(rng: np.random.Generator) -> None:
    columns = ratings(rng)

    def drawn(seed: int) -> np.ndarray:
        model = build(columns, seed)
        list(islice(model.fit(columns, 1), 3))
        return model.sides[0].theta.numpy()

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert (drawn(1) != drawn(2)).all()
