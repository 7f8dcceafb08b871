from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from components.gate.interval import rmse_difference

Array = np.ndarray[Any, np.dtype[np.float64]]


def paired_errors(rng: np.random.Generator, users: int) -> tuple[Array, Array, Array]:
    """Errors of two models for ratings of users who differ in how hard and how many they are."""
    counts = rng.integers(1, 40, users)
    ids = np.repeat(np.arange(users), counts)
    hard = rng.gamma(4, 0.2, users)[ids]
    shared = rng.normal(0, 1, len(ids)) * hard
    taste = rng.normal(0, 0.15, users)[ids]
    return shared + 0.1 * rng.normal(0, 1, len(ids)) + taste, shared, ids


def test_it_agrees_with_a_bootstrap_over_users(rng: np.random.Generator) -> None:
    candidate, baseline, users = paired_errors(rng, 400)
    found = rmse_difference(candidate, baseline, users, 0.95)
    rows = [np.flatnonzero(users == user) for user in range(400)]
    sums = np.array([[np.sum(e[r] ** 2) for e in (candidate, baseline)] for r in rows])
    counts = np.array([len(r) for r in rows])
    draws = rng.integers(0, 400, (4000, 400))
    means = sums[draws].sum(1) / counts[draws].sum(1)[:, None]
    differences = np.sqrt(means[:, 0]) - np.sqrt(means[:, 1])
    low, high = np.quantile(differences, [0.025, 0.975])
    width = high - low
    assert found.low == pytest.approx(low, abs=0.1 * width)
    assert found.high == pytest.approx(high, abs=0.1 * width)
    expected = np.sqrt(np.mean(candidate**2)) - np.sqrt(np.mean(baseline**2))
    assert found.difference == pytest.approx(expected)


def test_it_covers_the_true_difference_as_often_as_it_says(rng: np.random.Generator) -> None:
    """Of 400 samples of users, 80 % should cover it: 320, with a deviation of 8."""
    everyone = paired_errors(rng, 40_000)
    candidate, baseline, users = everyone
    truth = np.sqrt(np.mean(candidate**2)) - np.sqrt(np.mean(baseline**2))
    starts = np.searchsorted(users, np.arange(0, 40_001, 100))
    covered = 0
    for start, end in pairwise(starts):
        found = rmse_difference(*(part[start:end] for part in everyone), 0.8)
        covered += found.low <= truth <= found.high
    assert 290 <= covered <= 350


def test_pairing_and_users_matter(rng: np.random.Generator) -> None:
    candidate, baseline, users = paired_errors(rng, 400)
    paired = rmse_difference(candidate, baseline, users, 0.95)
    mixed = rmse_difference(candidate, rng.permutation(baseline), users, 0.95)
    assert mixed.high - mixed.low > 2 * (paired.high - paired.low)


def test_equal_models_differ_by_nothing(rng: np.random.Generator) -> None:
    errors, _, users = paired_errors(rng, 50)
    found = rmse_difference(errors, errors, users, 0.95)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_models_without_errors(rng: np.random.Generator) -> None:
    nothing, users = np.zeros(10), np.arange(10)
    assert rmse_difference(nothing, nothing, users, 0.95).high == 0
    found = rmse_difference(nothing, rng.normal(0, 1, 10), users, 0.95)
    assert found.low < found.difference < 0
