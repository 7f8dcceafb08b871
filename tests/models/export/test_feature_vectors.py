"""Vectors of new rows from side features, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.export.feature_vectors import FeatureVectors
from models.side_features import side_features

ROWS = [
    ["genre=Drama", "year=1990"],
    ["genre=Drama", "genre=War"],
    ["genre=War", "year=1995"],
    [],
    ["genre=Comedy", "year=1990"],
    ["genre=Comedy", "genre=Drama", "genre=War", "year=1995"],
    ["genre=Comedy", "year=1990"],
    # Rated by nobody: it does not count, nor does its feature.
    ["genre=Western", "year=1990"],
]
NAMES = ["genre=Comedy", "genre=Drama", "genre=War", "genre=Western", "year=1990", "year=1995"]
GROUPS = [slice(0, 4), slice(4, 6)]
COUNTS = np.array([5, 1, 9, 2, 4, 30, 7, 0])
RATED = COUNTS > 0


def scaled(rows: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """1/√n for each of the n features of a group, and which groups are known, by column."""
    matrix = np.array([[float(name in row) for name in NAMES] for row in rows])
    known = np.zeros_like(matrix)
    for columns in GROUPS:
        number = matrix[:, columns].sum(axis=1, keepdims=True)
        known[:, columns] = number > 0
        matrix[:, columns] /= np.sqrt(np.maximum(number, 1))
    return matrix, known


def expected(
    rows: list[list[str]], vectors: np.ndarray, others: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The vectors of new rows, by normal equations and hat matrices."""
    share = COUNTS / COUNTS[RATED].mean()
    x, known = scaled(ROWS)
    mean_x = (share[:, None] * x).sum(axis=0) / (share[:, None] * known).sum(axis=0).clip(1e-9)
    x = (x - known * mean_x)[RATED]
    mean = np.average(vectors, axis=0, weights=share)
    t, w = (vectors - mean)[RATED], np.diag(share[RATED])
    metric = sum(n * np.outer(v, v) for n, v in zip(weights, others, strict=True)) / weights.sum()
    errors, slopes = [], []
    for ridge in np.geomspace(1e-1, 1e5, 25):
        inverse = np.linalg.inv(x.T @ w @ x + ridge * np.eye(len(NAMES)))
        slope = inverse @ x.T @ w @ t
        left = t - x @ slope
        freedom = 1 + np.trace(x @ inverse @ x.T @ w)
        errors.append(np.trace(w @ left @ metric @ left.T) / (1 - freedom / len(x)) ** 2)
        slopes.append(slope)
    new, new_known = scaled(rows)
    return mean + (new - new_known * mean_x) @ slopes[int(np.argmin(errors))]


def asked(rows: list[list[str]]) -> dict[str, tf.Tensor]:
    groups = {}
    for group in ("genre", "year"):
        names = [[name for name in row if name.startswith(group)] for row in rows]
        groups[group] = tf.ragged.constant(names, tf.string, ragged_rank=1).to_tensor("")
    return groups


@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_a_vector_is_a_weighted_ridge_regression_on_the_features(
    rng: np.random.Generator, noise: float
) -> None:
    """The more noise, the larger the ridge that cross-validation chooses."""
    x, _ = scaled(ROWS)
    vectors = 2 + x @ rng.normal(0, 1, (len(NAMES), 3)) + rng.normal(0, noise, (len(ROWS), 3))
    others, weights = rng.normal(0, 1, (4, 3)), np.array([3, 0, 8, 1])
    made = FeatureVectors(
        side_features(ROWS), vectors.astype(np.float32), COUNTS, others.astype(np.float32), weights
    )
    new = [*ROWS, ["genre=War"], ["year=1995"], ["genre=War", "genre=Comedy", "year=1990"]]
    np.testing.assert_allclose(made(asked(new)), expected(new, vectors, others, weights), atol=1e-4)


def test_what_is_unknown_is_the_mean_and_twice_is_once(rng: np.random.Generator) -> None:
    vectors = rng.normal(0, 1, (len(ROWS), 3)).astype(np.float32)
    made = FeatureVectors(side_features(ROWS), vectors, COUNTS, vectors, COUNTS)
    names = [
        ["", "", ""],
        ["genre=Horror", "War", b"\xff"],
        ["genre=War", "", ""],
        ["genre=War", "genre=Horror", "genre=War"],
    ]
    found = made({"genre": tf.constant(names), "year": tf.fill([4, 1], "year=1066")}).numpy()
    mean = np.average(vectors.astype(np.float64), axis=0, weights=COUNTS)
    np.testing.assert_allclose(found[:2], [mean, mean], atol=1e-6)
    np.testing.assert_array_equal(found[2], found[3])
    assert np.abs(found[2] - mean).max() > 1e-3
    assert made({"genre": tf.zeros([0, 0], tf.string)}).shape == (0, 3)


def test_one_row_says_nothing_but_its_own_vector() -> None:
    vector = np.array([[1, 2]], np.float32)
    made = FeatureVectors(side_features([["a=1"]]), vector, np.array([4]), vector, np.array([4]))
    np.testing.assert_allclose(made({"a": tf.constant([["a=1"], ["a=2"]])}), [[1, 2], [1, 2]])
