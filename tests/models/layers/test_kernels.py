import numpy as np
import pytest

from models.layers import kernels
from models.layers.kernels import Kernel, implicit_kernel, side_kernel

ROWS, OTHERS = 14, 9


def sets(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and others of some ratings, and F by its definition; a row has none."""
    pairs = rng.permutation(ROWS * OTHERS)[:60]
    row, other = pairs // OTHERS, pairs % OTHERS
    row[row == 3] = 4
    distinct = np.unique(np.stack([row, other]), axis=1)
    row, other = distinct
    features = np.zeros((ROWS, OTHERS))
    features[row, other] = 1
    features /= np.sqrt(np.maximum(features.sum(axis=1, keepdims=True), 1))
    return row, other, features


def dense(kernel: Kernel) -> np.ndarray:
    return (kernel.vectors.numpy() * kernel.values.numpy()) @ kernel.vectors.numpy().T


@pytest.mark.parametrize("rank", [OTHERS, 100])
def test_a_kernel_is_the_product_of_the_normalised_sets(
    rng: np.random.Generator, rank: int
) -> None:
    row, other, features = sets(rng)
    kernel = implicit_kernel(row, other, ROWS, OTHERS, rank)
    np.testing.assert_allclose(dense(kernel), features @ features.T, atol=1e-5)
    vectors = kernel.vectors.numpy()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(OTHERS), atol=1e-5)


def test_a_lower_rank_keeps_the_largest_eigenvalues(rng: np.random.Generator) -> None:
    row, other, features = sets(rng)
    kernel = implicit_kernel(row, other, ROWS, OTHERS, 2)
    values, vectors = np.linalg.eigh(features @ features.T)
    expected = (vectors[:, -2:] * values[-2:]) @ vectors[:, -2:].T
    np.testing.assert_allclose(dense(kernel), expected, atol=1e-5)


def test_a_side_kernel_is_the_product_of_the_features_over_its_mean_diagonal(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Read in parts, the last of which is smaller.
    monkeypatch.setattr(kernels, "_ROWS_OF_A_PART", 4)
    one_hot = np.eye(3)[rng.integers(0, 3, ROWS)]
    features = one_hot - one_hot.mean(axis=0)
    kernel = side_kernel(features.astype(np.float32))
    assert kernel is not None
    expected = features @ features.T / np.mean(np.sum(features**2, axis=1))
    np.testing.assert_allclose(dense(kernel), expected, atol=1e-5)
    # The columns add up to 0, so that one direction is left out.
    vectors = kernel.vectors.numpy()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(2), atol=1e-5)
    assert (np.diff(kernel.values.numpy()) <= 0).all()


@pytest.mark.parametrize("width", [0, 2])
def test_features_that_say_nothing_give_no_kernel(width: int) -> None:
    assert side_kernel(np.zeros([ROWS, width], np.float32)) is None
