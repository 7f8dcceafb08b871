"""Fold-ins against the training loss itself and against NumPy in float64."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest
import tensorflow as tf

from models.factory import build_model
from models.layers.fold_in import SoftmaxFoldIn
from models.options import ModelOptions
from models.registry import MODELS
from tests.models.factories import MOVIES, statistics_of_one_user

RATED = np.array([0, 3, 1], np.int32)
STARS = np.array([5, 2, 4], np.float32)
RATING_MODELS = ["biased_mf", "sigmoid_mf", "svdpp", "sparse_mf", "collaborative_filtering"]
# What of a user is learnt, in the order of the user's vector.
USER_TABLES = {
    "biased_mf": ("user_embedding", "user_bias"),
    "sigmoid_mf": ("user_embedding", "user_bias"),
    "sparse_mf": ("user_embedding",),
    "svdpp": ("users.own",),
    "collaborative_filtering": ("w", "b"),
}


def model_named(name: str, rng: np.random.Generator, **options: float):
    """A model as after training; the last rows are those of the unknown."""
    model = build_model(
        ModelOptions(name=name, dimension=3, **options), statistics_of_one_user(RATED), seed=1
    )
    for variable in model.trainable_variables:
        # The noise of all ratings is no table: without any, a ridge regression has no one solution.
        if variable.shape[0] == 1:
            continue
        values = rng.normal(0, 0.5, variable.shape).astype(np.float32)
        values[-1] = 0
        variable.assign(values)
    return model


def folded(model, movies=RATED, stars=STARS, padding: int = 0) -> np.ndarray:
    index = np.concatenate([movies, np.full(padding, MOVIES, np.int32)])[np.newaxis]
    rating = np.concatenate([stars, np.full(padding, 3, np.float32)])[np.newaxis]
    vectors = tf.gather(model.movie_vectors(), index)
    found = model.fold_in()(vectors, tf.constant(rating), tf.constant(index < MOVIES))
    return found.numpy()[0]


@pytest.mark.parametrize("gravity", [0.0, 0.4])
@pytest.mark.parametrize("name", list(USER_TABLES))
def test_the_training_loss_is_at_its_least(
    name: str, gravity: float, rng: np.random.Generator
) -> None:
    """The loss over the user's ratings has no gradient at the vector."""
    model = model_named(name, rng, l2_embedding=0.3, l2_bias=0.2, gravity=gravity)
    found, start = folded(model), model.user_vectors()[-1].numpy()
    place = 0
    for table in USER_TABLES[name]:
        variable = attrgetter(table)(model)
        width = variable.shape[1]
        values = variable.numpy()
        # Of sparse_mf the unknown user is another than somebody without ratings, by the mean only.
        values[0] = found[place : place + width] - start[place : place + width]
        variable.assign(values)
        place += width
    batch = {"user_index": np.zeros(3, np.int32), "movie_index": RATED, "rating": STARS}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    tables = [attrgetter(table)(model) for table in USER_TABLES[name]]
    for gradient in tape.gradient(loss, tables):
        np.testing.assert_allclose(tf.convert_to_tensor(gradient)[0], 0, atol=2e-5)
    np.testing.assert_allclose(model.user_vectors()[0], found, atol=1e-5)


def test_ridge_is_that_of_numpy(rng: np.random.Generator) -> None:
    model = model_named("biased_mf", rng, l2_embedding=0.3, l2_bias=0.2)
    q = model.movie_embedding.numpy()[RATED].astype(np.float64)
    x = np.concatenate([q, np.ones((3, 1))], axis=1)
    y = STARS - float(model.offset) - model.movie_bias.numpy()[RATED, 0]
    penalty = 3 * np.diag([0.3, 0.3, 0.3, 0.2])
    moved = np.linalg.solve(x.T @ x + penalty, x.T @ y)
    expected = [*moved[:3], float(model.offset) + moved[3], 1]
    np.testing.assert_allclose(folded(model), expected, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_padding_and_unknown_movies_do_not_count(name: str, rng: np.random.Generator) -> None:
    model = model_named(name, rng)
    np.testing.assert_allclose(folded(model, padding=4), folded(model), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in RATING_MODELS if name != "sparse_mf"])
def test_who_rated_nothing_is_unknown(name: str, rng: np.random.Generator) -> None:
    model = model_named(name, rng)
    found = folded(model, RATED[:0], STARS[:0], padding=2)
    np.testing.assert_allclose(found, model.user_vectors()[-1], atol=1e-6)


@pytest.mark.parametrize("liked_rating", [4.0, -np.inf])
def test_one_of_newtons_steps(rng: np.random.Generator, liked_rating: float) -> None:
    """Against the objective's finite differences, in float64."""
    movies, l2, weight = rng.normal(size=(7, 4)), 0.2, 1.5
    rated, stars = np.array([2, 5, 6, 0]), np.array([5.0, 3.0, 4.0, 1.0])
    chosen = rated[stars >= liked_rating]

    def objective(p: np.ndarray) -> float:
        scores = movies[:, :3] @ p + movies[:, 3]
        log_softmax = scores - np.log(np.exp(scores).sum())
        return float(-weight * log_softmax[chosen].sum() + len(rated) * l2 * p @ p)

    step = 1e-4
    units = step * np.eye(3)
    gradient = [(objective(unit) - objective(-unit)) / (2 * step) for unit in units]
    hessian = [
        [
            (objective(a + b) - objective(a - b) - objective(b - a) + objective(-a - b))
            / (4 * step**2)
            for b in units
        ]
        for a in units
    ]
    expected = -np.linalg.solve(hessian, gradient)

    fold_in = SoftmaxFoldIn(
        movies.astype(np.float32),
        l2,
        lambda rating: tf.cast(rating >= liked_rating, tf.float32),
        weight,
    )
    found = fold_in(
        tf.constant(movies[rated][np.newaxis], tf.float32),
        tf.constant(stars[np.newaxis], tf.float32),
        tf.ones([1, 4], tf.bool),
    )
    np.testing.assert_allclose(found[0], [*expected, 1], rtol=1e-4, atol=1e-5)
