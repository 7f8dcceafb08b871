from __future__ import annotations

import numpy as np
import pytest

from models.beyond_accuracy import beyond_accuracy, in_head, popularity_deciles

# Ratings of five movies by ten users; the head is the first of them.
POPULARITY = np.array([8, 4, 2, 1, 1])


def test_figures_are_those_of_their_definitions() -> None:
    lists = np.array([[0, 1], [0, 2], [0, -1]])
    found = beyond_accuracy(lists, POPULARITY, np.array([4.0, 8.0, np.nan]), 10)
    assert (found.users, found.k) == (3, 2)
    # Movies 0, 1 and 2 of five.
    assert found.coverage == pytest.approx(3 / 5)
    # Mean absolute difference of all pairs of 3, 1, 1, 0, 0, by twice the mean.
    times = np.array([3, 1, 1, 0, 0])
    pairs = np.abs(times[:, None] - times[None, :])
    assert found.gini == pytest.approx(pairs.mean() / (2 * times.mean()))
    shown = np.array([8, 4, 8, 2, 8])
    assert found.novelty == pytest.approx(np.mean(-np.log2(shown / 10)))
    assert found.long_tail_share == pytest.approx(2 / 5)
    assert found.average_popularity == pytest.approx(30 / 5)
    # The third user rated nothing: lists of 6 and 5 beside profiles of 4 and 8.
    assert found.popularity_lift == pytest.approx((6 + 5) / (4 + 8) - 1)


def test_equal_lists_of_everything_are_without_concentration() -> None:
    found = beyond_accuracy(np.arange(5)[None], POPULARITY, np.array([3.2]), 10)
    assert found.coverage == 1
    assert found.gini == pytest.approx(0)
    assert found.popularity_lift == pytest.approx(0)


def test_where_nothing_is_recommended_there_are_no_figures() -> None:
    found = beyond_accuracy(np.full((2, 3), -1), POPULARITY, np.ones(2), 10)
    assert found.coverage == 0
    assert found.gini is found.novelty is found.popularity_lift is None
    unrated = beyond_accuracy(np.array([[0]]), POPULARITY, np.array([np.nan]), 10)
    assert unrated.popularity_lift is None
    assert unrated.average_popularity == 8


def test_the_head_is_the_most_rated_fifth() -> None:
    assert in_head(np.array([1, 9, 3, 9, 2, 2, 2, 2, 2, 2])).nonzero()[0].tolist() == [1, 3]


def test_deciles_hold_equally_many_movies(rng: np.random.Generator) -> None:
    counts = rng.permutation(40)
    found = popularity_deciles(counts)
    assert np.bincount(found)[1:].tolist() == [4] * 10
    assert found[counts.argmax()] == 10
    assert found[counts.argmin()] == 1
    assert counts[found == 3].max() < counts[found == 4].min()
