from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from models.ranking import NEVER, rank_of, ranking_figures, without_seen


def places(scores: np.ndarray) -> list[int]:
    """The movies in the order in which they would be shown."""
    return sorted(range(len(scores)), key=lambda movie: (-scores[movie], movie))


def test_rank_is_the_place_among_all_movies_ties_by_index(rng: np.random.Generator) -> None:
    scores = rng.integers(0, 4, (30, 7)).astype(np.float32)
    scores[:, 2] = -np.inf
    movies = rng.integers(0, 7, 30)
    expected = [
        NEVER if movie == 2 else places(row).index(movie) + 1
        for row, movie in zip(scores, movies, strict=True)
    ]
    np.testing.assert_array_equal(rank_of(tf.constant(scores), tf.constant(movies)), expected)


def test_rank_agrees_with_top_k(rng: np.random.Generator) -> None:
    scores = tf.constant(rng.integers(0, 3, (5, 9)).astype(np.float32))
    _, order = tf.math.top_k(scores, 9)
    for place in range(9):
        np.testing.assert_array_equal(rank_of(scores, order[:, place]), [place + 1] * 5)


def test_a_movie_outside_the_catalogue_is_never_shown() -> None:
    scores = tf.zeros([2, 4])
    np.testing.assert_array_equal(rank_of(scores, tf.constant([4, 9])), [NEVER, NEVER])


def test_what_was_seen_cannot_be_ranked() -> None:
    seen = tf.RaggedTensor.from_row_splits(np.array([0, 2, 1], np.int32), [0, 2, 2, 3])
    found = without_seen(tf.ones([3, 3]), seen).numpy()
    hidden = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], bool)
    np.testing.assert_array_equal(found, np.where(hidden, -np.inf, 1.0))


def test_figures_are_means_over_users() -> None:
    users = np.array([b"a", b"b", b"a", b"a", b"c"])
    ranks = np.array([1, 3, 11, 4, 12])
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    ndcg = [(1 + 1 / math.log2(5)) / ideal, 1 / math.log2(4), 0.0]
    figures = ranking_figures(users, ranks)
    assert figures.users == 3
    assert figures.ndcg == pytest.approx(np.mean(ndcg), rel=1e-12)
    squares = sum((one - sum(ndcg) / 3) ** 2 for one in ndcg)
    assert figures.ndcg_error == pytest.approx(math.sqrt(squares / 2 / 3), rel=1e-12)
    assert figures.recall == pytest.approx(np.mean([2 / 3, 1, 0]), rel=1e-12)


def test_the_best_ranking_of_more_movies_than_are_shown_is_worth_one() -> None:
    figures = ranking_figures(np.zeros(25, int), np.arange(1, 26))
    assert math.isnan(figures.ndcg_error)
    assert figures.ndcg == pytest.approx(1.0, rel=1e-12)
    assert figures.recall == pytest.approx(10 / 25, rel=1e-12)


def test_the_cutoff_is_how_many_places_count() -> None:
    figures = ranking_figures(np.array([0, 1]), np.array([2, 3]), cutoff=2)
    assert figures.ndcg == pytest.approx(0.5 / math.log2(3), rel=1e-12)
    assert figures.recall == 0.5


def test_without_anything_liked_there_is_no_figure() -> None:
    figures = ranking_figures(np.array([], object), np.array([], int))
    assert figures.users == 0
    assert math.isnan(figures.ndcg)
    assert math.isnan(figures.recall)
