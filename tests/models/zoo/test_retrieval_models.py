"""The retrieval models against their formulas, row by row, in NumPy's float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from models.columns import Columns
from models.contracts import RankingModel
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions
from models.training.loop import TrainingLoop
from tests.models.definitions import RETRIEVAL_MODELS, Weights, retrieval_score
from tests.models.factories import (
    MOVIES,
    USERS,
    finite_differences,
    rated_by_head,
    ratings,
    statistics,
)

L2, L2_BIAS, RATING, RETRIEVAL, LIKED = 0.3, 0.7, 0.4, 1.5, 4.0


def rating(w: Weights, u: int, i: int) -> float:
    dot = np.sum(w["rating_scale"] * w["user_embedding"][u] * w["movie_embedding"][i])
    return 3.4 + w["user_rating_bias"][u, 0] + w["movie_rating_bias"][i, 0] + dot


def retrieval_loss(w: Weights, batch: Columns, weight: Callable[[float], float]) -> float:
    share = statistics().movie_rating_count / statistics().movie_rating_count.sum()
    users, movies = batch["user_index"], batch["movie_index"]
    total = 0.0
    for row, (u, i, stars) in enumerate(zip(users, movies, batch["rating"], strict=True)):
        logits = {
            other: retrieval_score(w, u, j) - math.log(share[j])
            for other, j in enumerate(movies)
            if other == row or j != i
        }
        cross_entropy = math.log(sum(map(math.exp, logits.values()))) - logits[row]
        total += cross_entropy * weight(stars)
    return total / len(users)


def loss(name: str, w: Weights, batch: Columns) -> float:
    rows = list(zip(batch["user_index"], batch["movie_index"], batch["rating"], strict=True))
    norms = [
        np.sum(w["user_embedding"][u] ** 2) + np.sum(w["movie_embedding"][i] ** 2)
        for u, i, _ in rows
    ]
    if name == "two_tower":
        return retrieval_loss(w, batch, lambda stars: stars >= LIKED) + L2 * np.mean(norms)
    biases = [
        w["user_rating_bias"][u, 0] ** 2 + w["movie_rating_bias"][i, 0] ** 2 for u, i, _ in rows
    ]
    return (
        RATING * np.mean([(rating(w, u, i) - stars) ** 2 for u, i, stars in rows])
        + RETRIEVAL * retrieval_loss(w, batch, lambda _: True)
        + L2 * np.mean(norms)
        + L2_BIAS * np.mean(biases)
    )


def build(
    name: str, rng: np.random.Generator, choice_weight: str = "liked"
) -> tuple[RankingModel, Weights]:
    """A model whose every known row differs from zero, as after training, and its weights."""
    options = ModelOptions(
        name=name,
        dimension=3,
        l2_embedding=L2,
        l2_bias=L2_BIAS,
        rating_weight=RATING,
        retrieval_weight=RETRIEVAL,
        liked_rating=LIKED,
        choice_weight=choice_weight,
    )
    model = build_model(options, statistics(), seed=1)
    for variable in model.trainable_variables:
        values = rng.normal(0, 0.5, variable.shape).astype(np.float32)
        if len(values) > 1:
            values[-1] = 0
        variable.assign(values)
    tables = ("user_embedding", "movie_embedding", "movie_bias", "rating_scale",
              "user_rating_bias", "movie_rating_bias")  # fmt: skip
    return model, {
        table: getattr(model, table).numpy().astype(np.float64)
        for table in tables
        if hasattr(model, table)
    }


def tensors(batch: Columns) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in batch.items()}


@pytest.mark.parametrize("name", RETRIEVAL_MODELS)
def test_loss_is_the_definition(rng: np.random.Generator, name: str) -> None:
    (model, w), batch = build(name, rng), ratings(rng)
    assert model.compute_loss(tensors(batch)).numpy() == pytest.approx(
        loss(name, w, batch), rel=1e-6
    )


def test_graded_choices_weigh_by_their_stars(rng: np.random.Generator) -> None:
    grades = {1: 0.0, 2: 0.1, 3: 0.4, 4: 0.9, 5: 1.0}
    (model, w), batch = build("two_tower", rng, choice_weight="graded"), ratings(rng)
    norms = [
        np.sum(w["user_embedding"][u] ** 2) + np.sum(w["movie_embedding"][i] ** 2)
        for u, i in zip(batch["user_index"], batch["movie_index"], strict=True)
    ]
    expected = retrieval_loss(w, batch, lambda stars: grades[int(stars)]) + L2 * np.mean(norms)
    assert model.compute_loss(tensors(batch)).numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", RETRIEVAL_MODELS)
def test_gradients_are_the_finite_differences_of_the_definition(
    rng: np.random.Generator, name: str
) -> None:
    (model, w), batch = build(name, rng), ratings(rng)
    with tf.GradientTape() as tape:
        value = model.compute_loss(tensors(batch))
    gradients = tape.gradient(value, [getattr(model, table) for table in w])
    for table, gradient in zip(w.values(), gradients, strict=True):
        expected = finite_differences(lambda: loss(name, w, batch), table)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient).numpy(), expected, atol=3e-6)


@pytest.mark.parametrize("name", RETRIEVAL_MODELS)
def test_the_dot_of_the_vectors_is_the_score(rng: np.random.Generator, name: str) -> None:
    model, w = build(name, rng)
    scores = model.score_of(model.user_vectors() @ tf.transpose(model.movie_vectors())).numpy()
    expected = [[retrieval_score(w, u, i) for i in range(MOVIES + 1)] for u in range(USERS + 1)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_ratings_of_multitask_are_the_definition_for_known_and_unknown(
    rng: np.random.Generator,
) -> None:
    model, w = build("multitask", rng)
    users, movies = np.divmod(np.arange((USERS + 1) * (MOVIES + 1)), MOVIES + 1)
    expected = [rating(w, u, i) for u, i in zip(users, movies, strict=True)]
    predicted = model.predict_rating(users, movies).numpy()
    np.testing.assert_allclose(predicted, np.clip(expected, 1, 5), rtol=1e-5)


def test_the_head_of_multitask_rates_by_the_definition(rng: np.random.Generator) -> None:
    """Holding biases and a weight a dimension, none of which is the model's own."""
    model, w = build("multitask", rng)
    head = model.rating_head()
    before = rated_by_head(model)
    expected = [[rating(w, u, i) for i in range(MOVIES + 1)] for u in range(USERS + 1)]
    np.testing.assert_allclose(before, expected, rtol=1e-5, atol=1e-6)
    sizes = sum(variable.shape.num_elements() for variable in head.variables)
    assert sizes == (USERS + 1) + (MOVIES + 1) + (3 + 1)
    own = {variable.ref() for variable in model.variables}
    assert not own & {variable.ref() for variable in head.variables}


@pytest.mark.parametrize("name", RETRIEVAL_MODELS)
def test_training_lowers_the_loss_and_leaves_the_unknown_rows_at_zero(
    rng: np.random.Generator, name: str
) -> None:
    (model, _), batch = build(name, rng), ratings(rng)
    options = TrainingOptions(epochs=20, batch_size=16, optimizer="adam", learning_rate=0.05)
    before = model.compute_loss(tensors(batch)).numpy()
    TrainingLoop(model, options).train_for(batch, 20)
    assert model.compute_loss(tensors(batch)).numpy() < 0.9 * before
    for table in ("user_embedding", "movie_embedding", "movie_bias"):
        assert not getattr(model, table).numpy()[-1].any()


def test_two_tasks_of_weight_zero_and_one_are_two_tower(rng: np.random.Generator) -> None:
    """If everything is liked, what is left of multitask is the retrieval of two_tower."""
    batch = {**ratings(rng), "rating": np.full(40, 5, np.float32)}
    values = {}
    for name in RETRIEVAL_MODELS:
        options = ModelOptions(name=name, dimension=3, l2_bias=0, rating_weight=0)
        values[name] = build_model(options, statistics(), seed=3).compute_loss(tensors(batch))
    assert values["multitask"].numpy() == pytest.approx(values["two_tower"].numpy(), rel=1e-6)
