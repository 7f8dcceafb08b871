"""Kernels over users or movies, from their ratings or their side features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf

Index = np.ndarray[Any, np.dtype[np.integer[Any]]]
Features = np.ndarray[Any, np.dtype[np.float32]]

# Halko, Martinsson & Tropp, "Finding structure with randomness" (2011), algorithm 4.4.
_SPARE_DIRECTIONS: Final = 10
_POWER_ITERATIONS: Final = 3
_ROWS_OF_A_PART: Final = 65_536
# Eigenvalues below this part of the largest are rounding.
_LEAST_EIGENVALUE: Final = 1e-6


@dataclass(frozen=True)
class Kernel:
    """A positive semi-definite matrix V diag(s) Vᵀ over n rows.

    Attributes:
        vectors: V, orthonormal, float32 `[n, rank]`.
        values: s, the largest first, float64 `[rank]`.
        weights: W such that V = X W for the features X of `side_kernel`, float64
            `[features, rank]`; None for other kernels.
    """

    vectors: tf.Tensor
    values: tf.Tensor
    weights: tf.Tensor | None = None


def implicit_kernel(row: Index, other: Index, rows: int, others: int, rank: int) -> Kernel:
    """Returns the kernel F Fᵀ, with F_ro = n_r^-½ where r has a rating with o, n_r the number of.

    Similar rows have ratings with the same others, whatever the ratings are. Only the `rank`
    largest eigenvalues are kept; memory holds no square matrix.

    Args:
        row: Row of each rating, `[n]`.
        other: Row of the other side for each rating, `[n]`.
        rows: Number of rows.
        others: Number of rows of the other side.
        rank: Largest number of eigenvalues.
    """
    order = np.lexsort((other, row))
    counts = np.bincount(row, minlength=rows)
    features = tf.SparseTensor(
        np.stack([row[order], other[order]], axis=1).astype(np.int64),
        tf.constant(1 / np.sqrt(counts[row[order]]), tf.float32),
        [rows, others],
    )
    return factor_kernel(features, rank)


def factor_kernel(features: tf.SparseTensor, rank: int) -> Kernel:
    """Returns the largest eigenvalues of F Fᵀ, and their eigenvectors.

    Args:
        features: F, float32 `[n, features]`.
        rank: Largest number of eigenvalues. All are exact if there are no more.
    """
    size = min(rank + _SPARE_DIRECTIONS, *features.shape)
    # Any directions do; equal data must give equal ones.
    start = tf.random.stateless_normal([features.shape[1], size], [0, 0])
    directions, _ = tf.linalg.qr(tf.sparse.sparse_dense_matmul(features, start))
    for _ in range(_POWER_ITERATIONS):
        turned = tf.sparse.sparse_dense_matmul(features, directions, adjoint_a=True)
        directions, _ = tf.linalg.qr(tf.sparse.sparse_dense_matmul(features, turned))
    projected = tf.sparse.sparse_dense_matmul(features, directions, adjoint_a=True)
    projected = tf.cast(projected, tf.float64)
    values, rotation = tf.linalg.eigh(tf.matmul(projected, projected, transpose_a=True))
    values, rotation = values[::-1][:rank], rotation[:, ::-1][:, :rank]
    kept = values > _LEAST_EIGENVALUE * values[0]
    return Kernel(
        vectors=tf.matmul(directions, tf.cast(tf.boolean_mask(rotation, kept, axis=1), tf.float32)),
        values=tf.boolean_mask(values, kept),
    )


def side_kernel(features: Features) -> Kernel | None:
    """Returns the kernel X Xᵀ of side features, over its mean diagonal entry; None if X is 0.

    Args:
        features: X, float32 `[n, features]`. Memory beside it holds a part of its rows in float64.
    """
    parts = [
        slice(start, start + _ROWS_OF_A_PART) for start in range(0, len(features), _ROWS_OF_A_PART)
    ]
    gram = np.zeros([features.shape[1]] * 2)
    for part in parts:
        wide = features[part].astype(np.float64)
        gram += wide.T @ wide
    if not gram.any():
        return None
    scale = np.sqrt(np.trace(gram) / len(features))
    values, rotation = np.linalg.eigh(gram / scale**2)
    kept = np.flatnonzero(values > _LEAST_EIGENVALUE * values[-1])[::-1]
    weights = rotation[:, kept] / (scale * np.sqrt(values[kept]))
    vectors = np.empty([len(features), len(kept)], np.float32)
    for part in parts:
        vectors[part] = features[part].astype(np.float64) @ weights
    return Kernel(tf.constant(vectors), tf.constant(values[kept]), tf.constant(weights))
