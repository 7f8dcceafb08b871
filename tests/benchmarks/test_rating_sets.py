from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import rating_sets


@pytest.fixture(scope="module")
def ratings() -> rating_sets.Arrays:
    return rating_sets.movielens_100k()


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_a_fold_is_a_fifth_of_the_lines(ratings: rating_sets.Arrays, fold: int) -> None:
    """The edition cuts its file into five, in the order of its lines."""
    found = rating_sets.official_fold(ratings, fold)
    first, last = (fold - 1) * 20_000, fold * 20_000
    assert set(found) == {*ratings, *(f"test_{name}" for name in ratings)}
    for name, values in ratings.items():
        np.testing.assert_array_equal(found[f"test_{name}"], values[first:last])
        np.testing.assert_array_equal(found[name], np.delete(values, np.s_[first:last]))


def test_the_first_fold_is_the_published_one(ratings: rating_sets.Arrays) -> None:
    """`u1.test` begins with these ratings of user 1, and has 459 users, of the first 462;
    `u1.base` has 1,650 of the 1,682 movies.
    """
    fold = rating_sets.official_fold(ratings, 1)
    is_first = fold["test_user_index"] == 0
    of_first_user = zip(
        fold["test_movie_index"][is_first] + 1, fold["test_rating"][is_first], strict=True
    )
    assert sorted(of_first_user)[:5] == [(6, 5), (10, 3), (12, 5), (14, 5), (17, 3)]
    assert len(set(fold["test_user_index"])) == 459
    assert fold["test_user_index"].max() == 461
    assert len(set(fold["movie_index"])) == 1650


def test_contenders_read_what_is_saved(tmp_path: Path) -> None:
    given = {"user_index": np.array([3, 1], np.int32), "rating": np.array([4, 2.5], np.float32)}
    rating_sets.save(given, tmp_path / "ratings.npz")
    with np.load(tmp_path / "ratings.npz") as archive:
        assert set(archive.files) == set(given)
        for name, values in given.items():
            np.testing.assert_array_equal(archive[name], values)
            assert archive[name].dtype == values.dtype
