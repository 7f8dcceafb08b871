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


def test_random_folds_are_tenths_that_have_every_rating_once(ratings: rating_sets.Arrays) -> None:
    given = {**ratings, "row": np.arange(100_000)}
    tests = []
    for fold in range(1, 11):
        found = rating_sets.random_fold(given, fold, folds=10)
        assert len(found["test_row"]) == 10_000
        assert sorted([*found["row"], *found["test_row"]]) == list(range(100_000))
        np.testing.assert_array_equal(found["rating"], ratings["rating"][found["row"]])
        tests.append(found["test_row"])
    assert len(np.unique(np.concatenate(tests))) == 100_000


def test_other_data_is_read_as_the_pipeline_reads_it(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("7::20::4::978300760\n5::10::3::978300761\n")
    (tmp_path / "movies.dat").write_text("10::Heat (1995)::Action\n20::Up (2009)::Comedy\n")
    (tmp_path / "users.dat").write_text("5::F::25::6::1\n7::M::1::10::2\n")
    ratings, sides = rating_sets.of_path(tmp_path)
    assert {name: values.tolist() for name, values in ratings.items()} == {
        "user_index": [1, 0],
        "movie_index": [1, 0],
        "rating": [4.0, 3.0],
    }
    assert set(sides) == set(rating_sets.SIDES)
    heat, up = sides["movie_side_features"]
    assert "Action" in heat
    assert "Comedy" in up


def test_contenders_read_what_is_saved(tmp_path: Path) -> None:
    given = {"user_index": np.array([3, 1], np.int32), "rating": np.array([4, 2.5], np.float32)}
    rating_sets.save(given, tmp_path / "ratings.npz")
    with np.load(tmp_path / "ratings.npz") as archive:
        assert set(archive.files) == set(given)
        for name, values in given.items():
            np.testing.assert_array_equal(archive[name], values)
            assert archive[name].dtype == values.dtype
