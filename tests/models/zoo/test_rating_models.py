"""Every rating model against its formula, rating by rating, in NumPy's float64."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.contracts import RatingModel
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions
from models.training.loop import TrainingLoop
from models.zoo.collaborative_filtering import cofi_cost
from tests.models.definitions import SCORES, Weights, rating_of
from tests.models.factories import (
    MOVIES,
    USERS,
    finite_differences,
    rated_by_head,
    ratings,
    statistics,
)

L2, L2_BIAS, GRAVITY = 0.3, 0.7, 0.2


def by_rating_penalty(w: Weights, u: int, i: int) -> float:
    biases = w["user_bias"][u, 0] ** 2 + w["movie_bias"][i, 0] ** 2
    vectors = np.sum(w["user_embedding"][u] ** 2) + np.sum(w["movie_embedding"][i] ** 2)
    return L2_BIAS * biases + L2 * vectors


def loss(name: str, w: Weights, batch: dict[str, np.ndarray]) -> float:
    rows = list(zip(batch["user_index"], batch["movie_index"], batch["rating"], strict=True))
    mean_squared_error = np.mean([(rating_of(name, w, u, i) - r) ** 2 for u, i, r in rows])
    if name in ("biased_mf", "sigmoid_mf"):
        return mean_squared_error + np.mean([by_rating_penalty(w, u, i) for u, i, _ in rows])
    if name == "sparse_mf":
        p, q = w["user_embedding"], w["movie_embedding"]
        l2 = np.sum(p**2) / USERS + np.sum(q**2) / MOVIES
        return mean_squared_error + L2 * l2 + GRAVITY * np.sum((p @ q.T) ** 2) / (USERS * MOVIES)
    squares = np.sum(w["x"] ** 2) + np.sum(w["w"] ** 2)
    return 0.5 * (mean_squared_error + L2 * squares / statistics().ratings)


def build(name: str, rng: np.random.Generator) -> tuple[RatingModel, Weights]:
    """A model whose every known row differs from zero, as after training, and its weights."""
    options = ModelOptions(
        name=name, dimension=3, l2_embedding=L2, l2_bias=L2_BIAS, gravity=GRAVITY
    )
    model = build_model(options, statistics(), seed=1)
    for variable in model.trainable_variables:
        values = rng.normal(0, 0.5, variable.shape).astype(np.float32)
        values[-1] = 0
        variable.assign(values)
    biased = ("user_bias", "movie_bias", "user_embedding", "movie_embedding")
    names = (*biased, "x", "w", "b")
    return model, {
        table: getattr(model, table).numpy().astype(np.float64)
        for table in names
        if hasattr(model, table)
    }


@pytest.mark.parametrize("name", SCORES)
def test_loss_is_the_definition(rng: np.random.Generator, name: str) -> None:
    (model, w), batch = build(name, rng), ratings(rng)
    computed = model.compute_loss({key: tf.constant(value) for key, value in batch.items()})
    assert computed.numpy() == pytest.approx(loss(name, w, batch), rel=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_gradients_are_the_finite_differences_of_the_definition(
    rng: np.random.Generator, name: str
) -> None:
    (model, w), batch = build(name, rng), ratings(rng)
    tables = [getattr(model, table) for table in w]
    with tf.GradientTape() as tape:
        value = model.compute_loss({key: tf.constant(column) for key, column in batch.items()})
    for table, gradient in zip(w.values(), tape.gradient(value, tables), strict=True):
        expected = finite_differences(lambda: loss(name, w, batch), table)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient).numpy(), expected, atol=3e-6)


@pytest.mark.parametrize("name", SCORES)
def test_predictions_are_the_definition_within_the_range_for_known_and_unknown(
    rng: np.random.Generator, name: str
) -> None:
    model, w = build(name, rng)
    users, movies = np.divmod(np.arange((USERS + 1) * (MOVIES + 1)), MOVIES + 1)
    expected = [rating_of(name, w, u, i) for u, i in zip(users, movies, strict=True)]
    predicted = model.predict_rating(users, movies).numpy()
    np.testing.assert_allclose(predicted, np.clip(expected, 1, 5), rtol=1e-5)


@pytest.mark.parametrize("name", SCORES)
def test_the_dot_of_the_vectors_stands_for_the_rating(rng: np.random.Generator, name: str) -> None:
    model, w = build(name, rng)
    scores = model.user_vectors().numpy() @ model.movie_vectors().numpy().T
    rated = model.score_of(tf.constant(scores)).numpy()
    for u in range(USERS + 1):
        for i in range(MOVIES + 1):
            assert scores[u, i] == pytest.approx(SCORES[name](w, u, i), rel=1e-5, abs=1e-6)
            assert rated[u, i] == pytest.approx(rating_of(name, w, u, i), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_the_head_rates_by_the_definition_from_the_vectors_alone(
    rng: np.random.Generator, name: str
) -> None:
    model, w = build(name, rng)
    expected = [[rating_of(name, w, u, i) for i in range(MOVIES + 1)] for u in range(USERS + 1)]
    assert not model.rating_head().variables
    np.testing.assert_allclose(rated_by_head(model), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_training_lowers_the_loss_and_leaves_the_unknown_rows_at_zero(
    rng: np.random.Generator, name: str
) -> None:
    (model, _), batch = build(name, rng), ratings(rng)
    options = TrainingOptions(epochs=20, batch_size=16, optimizer="adam", learning_rate=0.05)
    tensors = {key: tf.constant(value) for key, value in batch.items()}
    before = model.compute_loss(tensors).numpy()
    TrainingLoop(model, options).train_for(batch, 20)
    assert model.compute_loss(tensors).numpy() < 0.8 * before
    for variable in model.trainable_variables:
        assert not variable.numpy()[-1].any()


@pytest.mark.parametrize("name", SCORES)
def test_a_fresh_model_depends_on_the_seed_alone(name: str) -> None:
    def weights(seed: int) -> list[np.ndarray]:
        model = build_model(ModelOptions(name=name, dimension=4), statistics(), seed)
        return [variable.numpy() for variable in model.trainable_variables]

    for one, same, other in zip(weights(1), weights(1), weights(2), strict=True):
        np.testing.assert_array_equal(one, same)
        is_bias = one.shape[1] == 1
        assert is_bias or (one != other)[:-1].all()
        assert not one[-1].any()


def test_the_cost_of_the_course_is_the_loss_of_the_model(rng: np.random.Generator) -> None:
    """The cost of whole matrices equals the model's loss over the observed ratings times n."""
    model, w = build("collaborative_filtering", rng)
    pairs = rng.permutation(USERS * MOVIES)[:20]
    batch = {
        "user_index": (pairs // MOVIES).astype(np.int32),
        "movie_index": (pairs % MOVIES).astype(np.int32),
        "rating": rng.integers(1, 6, 20).astype(np.float32),
    }
    observed = np.zeros((MOVIES, USERS))
    normalised = np.full((MOVIES, USERS), 99.0)
    observed[batch["movie_index"], batch["user_index"]] = 1
    means = statistics().movie_rating_mean[batch["movie_index"]]
    normalised[batch["movie_index"], batch["user_index"]] = batch["rating"] - means
    known = w["x"][:MOVIES], w["w"][:USERS], w["b"][:USERS].T
    matrices = [tf.constant(value) for value in (*known, normalised, observed)]
    cost = cofi_cost(*matrices, L2).numpy()

    error = (known[0] @ known[1].T + known[2] - normalised) * observed
    squares = np.sum(known[0] ** 2) + np.sum(known[1] ** 2)
    assert cost == pytest.approx(0.5 * np.sum(error**2) + 0.5 * L2 * squares, rel=1e-12)

    tensors = {key: tf.constant(value) for key, value in batch.items()}
    squared_error = 2 * model.compute_loss(tensors).numpy() - L2 * squares / statistics().ratings
    assert cost == pytest.approx(0.5 * (20 * squared_error + L2 * squares), rel=1e-5)
