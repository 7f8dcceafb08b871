"""The baselines of new users and movies, and the table, on cases that are counted by hand."""

from __future__ import annotations

import numpy as np

from benchmarks import cold_start
from tests.benchmarks.rendering import rows


def test_a_fifth_is_new() -> None:
    found = [cold_start.new_rows(11, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert [mask.sum() for mask in found] == [2, 2, 2]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_biases_are_the_least_penalised_squares() -> None:
    users, movies = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 0, 1, 2, 2])
    errors = np.array([1.0, 0.5, -1, 0.25, -2, 0.75])
    # One ridge regression on all of them, with five for each.
    design = np.hstack([np.eye(3)[users], np.eye(3)[movies]])
    expected = np.linalg.solve(design.T @ design + 5 * np.eye(6), design.T @ errors)
    user, movie = cold_start.biases(users, movies, errors)
    np.testing.assert_allclose(np.concatenate([user, movie]), expected, atol=1e-9)


def test_the_table_has_means_over_splits() -> None:
    results = [
        {"RMSE of new movies": {"genres": 1.0, "mean": 1.5}, "NDCG@10 of new users": {"age": 0.3}},
        {"RMSE of new movies": {"genres": 1.2, "mean": 1.5}, "NDCG@10 of new users": {"age": 0.5}},
    ]
    assert rows(cold_start.as_table(results, "svdpp")) == [
        ["", "", "mean", "± over splits"],
        ["RMSE of new movies", "genres", "1.1000", "0.1000"],
        ["RMSE of new movies", "mean", "1.5000", "0.0000"],
        ["NDCG@10 of new users", "age", "0.4000", "0.1000"],
    ]
