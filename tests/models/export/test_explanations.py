"""Explanations: what each rating adds to a score, against NumPy in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from models.columns import canonical_order
from models.export.explanations import RatingTable
from models.factory import build_model
from models.options import ModelOptions
from models.rating_statistics import measure
from models.seen_movies import SeenMovies
from models.zoo.ease import EASE
from tests.models.export.exported_models import MOVIE_IDS, recommender_of
from tests.models.factories import MOVIES, statistics, trained_like

RATED, STARS = [0, 3, 4], [5.0, 1.0, 4.0]
TARGET = 1


def explained_for_ratings(recommender, k: int = MOVIES) -> dict[str, np.ndarray]:
    found = recommender.explain_for_ratings(
        tf.constant([[*(MOVIE_IDS[place] for place in RATED), ""]]),
        tf.constant([[*STARS, 0.0]]),
        tf.constant([MOVIE_IDS[TARGET]]),
        tf.constant(k),
    )
    return {name: values.numpy()[0] for name, values in found.items()}


def contributions(found: dict[str, np.ndarray]) -> dict[str, float]:
    return {
        movie.decode(): float(value)
        for movie, value in zip(found["movie_id"], found["contribution"], strict=True)
        if movie
    }


def test_fewer_ratings_leave_the_rest_to_the_others(rng: np.random.Generator) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    whole, one = explained_for_ratings(recommender), explained_for_ratings(recommender, k=1)
    assert one["contribution"].tolist() == whole["contribution"][:1].tolist()
    assert one["others"] == pytest.approx(whole["contribution"][1:].sum(), abs=1e-5)


def test_an_unknown_movie_has_no_reasons(rng: np.random.Generator) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    found = recommender.explain(tf.constant(["u2"]), tf.constant(["nothing"]), tf.constant(2))
    assert found["movie_id"].numpy().tolist() == [[b"", b""]]
    assert found["contribution"].numpy().tolist() == [[0, 0]]
    assert [found[name].numpy()[0] for name in ("score", "baseline", "others")] == [
        -np.inf,
        -np.inf,
        0,
    ]


def test_the_contribution_to_a_factorisation_is_that_of_its_ridge_regression(
    rng: np.random.Generator,
) -> None:
    model = trained_like("biased_mf", rng)
    found = contributions(explained_for_ratings(recommender_of("biased_mf", model)))
    q = model.movie_embedding.numpy().astype(np.float64)
    b = model.movie_bias.numpy()[:, 0].astype(np.float64)
    x = np.concatenate([q[RATED], np.ones((3, 1))], axis=1)
    options = ModelOptions(name="biased_mf", dimension=3)
    penalty = [options.l2_embedding] * 3 + [options.l2_bias]
    matrix = x.T @ x + len(RATED) * np.diag(penalty)
    target = np.append(q[TARGET], 1)
    for row, place in enumerate(RATED):
        residual = STARS[row] - 3.4 - b[place]
        expected = target @ np.linalg.solve(matrix, x[row]) * residual
        assert found[MOVIE_IDS[place]] == pytest.approx(expected, abs=1e-5)


def test_the_contribution_to_ease_is_the_weight_between_both_movies(
    rng: np.random.Generator,
) -> None:
    users, movies = 20, 8
    pairs = rng.permutation(users * movies)[:90]
    columns = canonical_order(
        {
            "user_index": (pairs // movies).astype(np.int32),
            "movie_index": (pairs % movies).astype(np.int32),
            "rating": rng.integers(1, 6, len(pairs)).astype(np.float32),
        }
    )
    options = ModelOptions(name="ease", dimension=movies, l2_embedding=3.0, choice_weight="rated")
    model = EASE(measure(columns, users, movies), options, seed=1)
    next(model.fit(columns, 1))
    x = np.zeros((users, movies))
    x[columns["user_index"], columns["movie_index"]] = 1
    inverse = np.linalg.inv(x.T @ x + 3 * np.eye(movies))
    rated, target = [0, 2, 5], 4
    vectors = model.movie_vectors()
    found = model.fold_in().contributions(
        tf.gather(vectors, [rated]), tf.ones([1, 3]), tf.ones([1, 3], tf.bool), vectors[4:5]
    )
    np.testing.assert_allclose(
        found.of_ratings[0], -inverse[rated, target] / inverse[target, target], atol=1e-6
    )
    assert found.baseline.numpy().tolist() == [0]


def test_the_contribution_to_a_sigmoid_adds_up_in_stars(rng: np.random.Generator) -> None:
    """Each logit's contribution, times the slope between the baseline and the score."""
    recommender = recommender_of("sigmoid_mf", trained_like("sigmoid_mf", rng))
    found = explained_for_ratings(recommender)
    vectors = recommender.movie_vectors.numpy()
    of_logits = recommender._fold_in.contributions(
        tf.constant(vectors[RATED][np.newaxis]),
        tf.constant([STARS]),
        tf.ones([1, 3], tf.bool),
        tf.constant(vectors[TARGET : TARGET + 1]),
    )
    baseline, parts = float(of_logits.baseline[0]), of_logits.of_ratings[0].numpy()
    stars = [1 + 4 / (1 + np.exp(-logit)) for logit in (baseline, baseline + parts.sum())]
    assert found["baseline"] == pytest.approx(stars[0], abs=1e-5)
    slope = (stars[1] - stars[0]) / parts.sum()
    for place, part in zip(RATED, parts, strict=True):
        assert contributions(found)[MOVIE_IDS[place]] == pytest.approx(part * slope, abs=1e-4)


def table_of(stars: np.ndarray) -> RatingTable:
    nothing = np.zeros(len(stars), np.int32)
    return RatingTable(SeenMovies(nothing, stars, np.array([0, len(stars), len(stars)])))


@pytest.mark.parametrize(
    ("ratings", "dtype"),
    [([4.5, 0.5, 4.5], tf.uint8), (list(range(300)), tf.uint16), ([], tf.uint8)],
)
def test_stars_are_kept_exactly_in_few_bytes(ratings: list[float], dtype: tf.DType) -> None:
    stars = np.array(ratings, np.float32)
    table = table_of(stars)
    assert table.level.dtype == dtype
    np.testing.assert_array_equal(table.stars(table.level), stars)


@pytest.mark.parametrize(
    ("ratings", "liked", "end"),
    [
        ([5, 4, 3, 2, 1], 4, 3.5),
        ([4.5, 0.5, 4], 4, 2.25),
        ([1, 3, 5], 4, 4.0),
        ([4, 4.1], 4.1, 4.05),  # Just below 4.1 as float32.
        ([4, 5], 4, -math.inf),
        ([1, 3], 4, math.inf),
    ],
)
def test_what_is_nearest_to_liked_ratings_begins_halfway_to_the_others(
    ratings: list[float], liked: float, end: float
) -> None:
    assert table_of(np.array(ratings, np.float32)).lower_end(liked) == pytest.approx(end)


def test_a_blend_is_explained_by_its_parts(rng: np.random.Generator) -> None:
    parts = ("biased_mf", "ease:rated")
    options = ModelOptions(name="blend", dimension=3, parts=parts, part_weights=(2, 0.5))
    model = build_model(options, statistics(), seed=1)
    for variable in model.trainable_variables[1:]:
        variable.assign(rng.normal(0, 0.5, variable.shape).astype(np.float32))
    given = tf.constant([STARS]), tf.ones([1, 3], tf.bool)

    def of(model) -> tuple[np.ndarray, np.ndarray]:
        vectors = model.movie_vectors()
        found = model.fold_in().contributions(
            tf.gather(vectors, [RATED]), *given, vectors[TARGET : TARGET + 1]
        )
        return found.baseline.numpy(), found.of_ratings.numpy()

    first, second = (of(part) for part in model.parts.models)
    for found, one, other in zip(of(model), first, second, strict=True):
        np.testing.assert_allclose(found, 2 * one + 0.5 * other, atol=1e-5)
