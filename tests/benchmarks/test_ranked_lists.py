"""The figures of lists and the other orders of movies, on a case that is counted by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.ranked_lists import best_unseen, figures
from components.recommendation_lists import TrainingCounts

COUNTS = np.array([5, 4, 3, 0])


def test_the_figures_of_two_lists() -> None:
    lists = np.array([[2, 0, 1], [0, -1, -1]])
    # User 0 likes the second and the third movie of the list; user 1 one that no model knows.
    found = figures(lists, np.array([0, 0, 1]), np.array([0, 1, -2]), COUNTS)
    gain = 1 / np.log2([2, 3, 4])
    assert asdict(found) == {
        "users": 2,
        "ndcg": pytest.approx(gain[1:].sum() / gain[:2].sum() / 2),
        "recall": 0.5,
        "coverage": 0.75,
        "popularity": pytest.approx((3 + 5 + 4 + 5) / 4),
    }


def test_seen_movies_are_in_no_list() -> None:
    ids = np.array([b"a", b"b", b"c", b"d"], object)
    seen = np.array([1, 0, 1, 2, 3], np.int32)
    counts = TrainingCounts(ids[:2], np.array([1, 4]), ids, COUNTS, seen, np.array([0, 1, 5, 5]))
    scores = np.array([[1.0, 9.0, 3.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    lists = best_unseen(scores, np.array([0, 1]), counts)
    assert lists.tolist() == [[2, 3, 0, -1], [-1, -1, -1, -1]]
