"""The blend against its definition: parts trained alone, summed in NumPy by float64."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from models.columns import Columns, canonical_order
from models.factory import build_model
from models.options import ModelOptions, part_options
from models.rating_statistics import measure
from models.seen_movies import seen_movies
from models.training.hidden_ratings import hide
from models.training.loop import TrainingLoop
from models.training.part_weights import choose_weights
from models.zoo.blend import Blend

USERS, MOVIES, SEED = 30, 12, 3
PARTS = ("sparse_mf", "ease:rated", "ials:graded")
DIMENSION = 4


def ratings(rng: np.random.Generator) -> Columns:
    pairs = rng.permutation(USERS * MOVIES)[:200]
    return canonical_order(
        {
            "user_index": (pairs // MOVIES).astype(np.int32),
            "movie_index": (pairs % MOVIES).astype(np.int32),
            "rating": rng.integers(1, 6, len(pairs)).astype(np.float32),
        }
    )


def options(**changes: object) -> ModelOptions:
    chosen = {"name": "blend", "dimension": DIMENSION, "parts": PARTS, "part_epochs": 3}
    return ModelOptions.model_validate({**chosen, **changes})


def fitted(columns: Columns, **changes: object) -> Blend:
    model = Blend(measure(columns, USERS, MOVIES), options(**changes), SEED)
    list(islice(model.fit(columns, 1), model.steps_per_epoch))
    return model


def alone(columns: Columns) -> list[tuple[np.ndarray, np.ndarray]]:
    """The vectors of each part, trained by the loop on its own."""
    vectors = []
    for model_options, training in part_options(options(), SEED):
        model = build_model(model_options, measure(columns, USERS, MOVIES), SEED)
        TrainingLoop(model, training, report=lambda _: None).train_for(columns, training.epochs)
        vectors.append((model.user_vectors().numpy(), model.movie_vectors().numpy()))
    return vectors


def scores(users: np.ndarray, movies: np.ndarray) -> np.ndarray:
    return users.astype(np.float64) @ movies.astype(np.float64).T


def test_the_scores_are_the_weighted_sum_of_those_of_the_parts(rng: np.random.Generator) -> None:
    columns, weights = ratings(rng), (0.5, 2.0, 3.0)
    model = fitted(columns, part_weights=weights)
    expected = sum(
        weight * scores(*vectors) for weight, vectors in zip(weights, alone(columns), strict=True)
    )
    found = scores(model.user_vectors().numpy(), model.movie_vectors().numpy())
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_new_user_gets_the_weighted_sum_of_the_parts_fold_ins(rng: np.random.Generator) -> None:
    columns, weights = ratings(rng), (0.5, 2.0, 3.0)
    model = fitted(columns, part_weights=weights)
    rated, stars = [1, 5, 7], np.array([[5.0, 1.0, 3.0]], np.float32)
    known = tf.constant([[True, True, False]])
    expected = 0.0
    for weight, part in zip(weights, model.parts.models, strict=True):
        movies = part.movie_vectors().numpy()
        user = part.fold_in()(tf.constant(movies[rated][np.newaxis]), tf.constant(stars), known)
        expected = expected + weight * scores(user.numpy(), movies)
    movies = model.movie_vectors().numpy()
    user = model.fold_in()(tf.constant(movies[rated][np.newaxis]), tf.constant(stars), known)
    np.testing.assert_allclose(scores(user.numpy(), movies), expected, atol=1e-4)


def test_all_parts_count_alike_for_what_is_similar(rng: np.random.Generator) -> None:
    model = fitted(ratings(rng), part_weights=(1, 0, 5))
    assert options().similarity_dimension == 3 * DIMENSION
    directions = model.movie_vectors().numpy()[:-1, : 3 * DIMENSION].reshape(MOVIES, 3, DIMENSION)
    np.testing.assert_allclose(np.mean(np.sum(directions**2, axis=2), axis=0), 1, rtol=1e-5)
    for place, part in enumerate(model.parts.models):
        own = part.movie_vectors().numpy()[:-1, :DIMENSION]
        ratio = directions[:, place] / own
        np.testing.assert_allclose(ratio, np.full_like(ratio, ratio[0, 0]), rtol=1e-4)


def test_the_weights_are_those_that_rank_the_hidden_ratings_of_parts_trained_on_the_others(
    rng: np.random.Generator,
) -> None:
    columns = ratings(rng)
    visible, hidden = hide(columns, USERS, SEED)
    expected = choose_weights(
        [(tf.constant(users), tf.constant(movies)) for users, movies in alone(visible)],
        seen_movies(visible, USERS),
        hidden,
        4.0,
    )
    model = fitted(columns)
    np.testing.assert_allclose(model.weight, expected, rtol=1e-4)


def test_two_fifths_of_the_ratings_of_half_of_the_users_are_hidden(
    rng: np.random.Generator,
) -> None:
    users = 2_000
    columns = {
        "user_index": np.repeat(np.arange(users), 50),
        "rating": rng.integers(1, 6, 50 * users),
    }
    visible, hidden = hide(columns, users, seed=1)
    assert len(visible["rating"]) + len(hidden["rating"]) == 50 * users
    counts = np.bincount(hidden["user_index"], minlength=users)
    assert np.mean(counts > 0) == pytest.approx(0.5, abs=0.04)
    assert counts[counts > 0].mean() / 50 == pytest.approx(0.4, abs=0.01)
    again, _ = hide(columns, users, seed=1)
    np.testing.assert_array_equal(again["user_index"], visible["user_index"])


def test_a_part_that_knows_nothing_gets_no_weight() -> None:
    """Every user likes one movie, which the first part ranks first and the second last."""
    users, movies = 40, 25
    rng = np.random.default_rng(5)
    liked = rng.integers(0, movies, users).astype(np.int32)
    right = np.zeros((users + 1, movies), np.float32)
    right[np.arange(users), liked] = 1
    parts = [
        (tf.constant(table), tf.constant(np.eye(movies + 1, movies, dtype=np.float32)))
        for table in (right, -right)
    ]
    hidden = {"user_index": np.arange(users), "movie_index": liked, "rating": np.full(users, 5.0)}
    nothing = {
        "user_index": np.zeros(0, np.int32),
        "movie_index": np.zeros(0, np.int32),
        "rating": np.zeros(0, np.float32),
    }
    first, second = choose_weights(parts, seen_movies(nothing, users), hidden, liked_rating=4.0)
    assert first > 0
    assert second < first


def test_without_a_liked_hidden_rating_the_parts_have_equal_weights() -> None:
    vectors = tf.constant(np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32))
    nothing = {
        name: np.zeros(0, kind)
        for name, kind in (("user_index", "i4"), ("movie_index", "i4"), ("rating", "f4"))
    }
    found = choose_weights([(vectors, vectors)] * 2, seen_movies(nothing, 5), nothing, 4.0)
    np.testing.assert_array_equal(found, [1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": ("blend",)}, "blend: expected a model other than blend"),
        ({"parts": ("ease:all",)}, r"ease:all: .*\(liked, graded, rated\)"),
        ({"parts": ("esae",)}, "esae: expected a model"),
        ({"part_weights": (1.0,)}, "has 1 numbers and parts has 3"),
        ({"part_weights": (0.0, 0.0, 0.0)}, "are all 0"),
        ({"parts": ()}, "at least 1"),
    ],
)
def test_parts_that_are_none_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(**changes)
