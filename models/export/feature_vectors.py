"""Vectors of new users and movies, from their side features alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models.export.id_index import IdIndex
from models.side_features import SideFeatures

# Candidates for the ridge, in rows whose features have unit length.
_RIDGES: Final = np.geomspace(1e5, 1e-1, 25)
_ROWS_OF_A_PART: Final = 65_536

Table = np.ndarray[Any, np.dtype[np.float32]]
Wide = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


class FeatureVectors(tf.Module):
    """v(x) = v̄ + (x − x̄) C: what the features x of a new user or movie say of its vector.

    C is a ridge regression of the vectors of the known rows on their features, in which a row
    counts as often as it is rated. v̄ and x̄ are means with the same weights, x̄ over the rows of
    which something in the feature's group is known. So what is not known of a new row counts as the
    mean, and of a row of which nothing is known, v is the mean vector.

    A trained vector also holds what follows from who rated what, which is related to the features.
    The regression finds that as well, and the model's own weights of the features do not.

    Sources: Gantner et al., "Learning attribute-to-feature mappings for cold-start recommendations"
    (2010); the ridge is that of generalized cross-validation, Golub, Heath & Wahba (1979).
    """

    def __init__(
        self, side: SideFeatures, vectors: Table, counts: Counts, others: Table, weights: Counts
    ) -> None:
        """Fits the regression.

        Args:
            side: Features of the known rows, at least one.
            vectors: Vectors of the known rows, float32 `[n, d]`.
            counts: Number of ratings of each known row, int64 `[n]`. Rows without any do not count.
            others: Vectors of the other side, float32 `[m, d]`. An error in a vector is as large as
                that of its dot products with these.
            weights: Number of ratings of each of the others, int64 `[m]`.
        """
        super().__init__()
        rated = np.flatnonzero(counts)
        shares = counts[rated] / np.mean(counts[rated])
        matrix = side.matrix(len(counts))[rated]
        self._index = IdIndex(side.names)
        self._groups = tuple(side.groups().values())
        means = np.zeros(len(side.names), np.float32)
        for columns in self._groups:
            known = matrix[:, columns].any(axis=1)
            if known.any():
                means[columns] = np.average(matrix[known, columns], axis=0, weights=shares[known])
                matrix[known, columns] -= means[columns]
        mean = np.average(vectors[rated], axis=0, weights=shares)
        size = others.astype(np.float64)
        metric = (size * weights[:, np.newaxis]).T @ size / max(weights.sum(), 1)
        slope = _ridge_regression(matrix, vectors[rated] - mean, shares, metric)
        self.feature_means = tf.Variable(means, trainable=False)
        self.mean_vector = tf.Variable(mean.astype(np.float32), trainable=False)
        self.slope = tf.Variable(slope.astype(np.float32), trainable=False)

    def __call__(self, names: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the vectors of new rows, float32 `[B, d]`.

        Args:
            names: Names of features by group, as `models.side_features` makes them, string
                `[B, …]`. Unknown ones, such as the empty string, do not count.
        """
        position = self._index(tf.concat(list(names.values()), axis=1))
        row = tf.range(tf.shape(position, tf.int64)[0])[:, tf.newaxis]
        pairs = tf.stack([tf.broadcast_to(row, tf.shape(position)), position], axis=-1)
        # The last column has the unknown names. A name that is given twice counts once.
        shape = [tf.shape(position, tf.int64)[0], tf.constant(self.slope.shape[0] + 1, tf.int64)]
        counts = tf.scatter_nd(pairs, tf.ones_like(position, tf.float32), tf.stack(shape))
        has = tf.cast(counts[:, :-1] > 0, tf.float32)
        means = self.feature_means.read_value()
        centred = []
        for columns in self._groups:
            number = tf.reduce_sum(has[:, columns], axis=1, keepdims=True)
            known = tf.cast(number > 0, tf.float32)
            scaled = has[:, columns] / tf.sqrt(tf.maximum(number, 1))
            centred.append(scaled - known * means[columns])
        return self.mean_vector + tf.matmul(tf.concat(centred, axis=1), self.slope.read_value())


def _ridge_regression(rows: Table, targets: Table, shares: Wide, metric: Wide) -> Wide:
    """Returns C with the least Σ_r w_r |t_r − x_r C|² + λ |C|², float64 `[k, d]`.

    λ is the one of `_RIDGES` with the least generalized cross-validation error.

    Args:
        rows: x, centred, float32 `[n, k]`.
        targets: t, centred, float `[n, d]`.
        shares: w, `[n]`, 1 in the mean.
        metric: M of the squared errors e M eᵀ, `[d, d]`.
    """
    gram, cross = np.zeros([rows.shape[1]] * 2), np.zeros([rows.shape[1], targets.shape[1]])
    total = 0.0
    for part in _parts(len(rows)):
        wide, target = rows[part].astype(np.float64), targets[part].astype(np.float64)
        weighted = wide * shares[part, np.newaxis]
        gram += weighted.T @ wide
        cross += weighted.T @ target
        total += float(np.sum(shares[part, np.newaxis] * target * (target @ metric)))
    values, turn = np.linalg.eigh(gram)
    values = np.maximum(values, 0)
    turned = turn.T @ cross
    energy = np.sum(turned * (turned @ metric), axis=1)
    kept = values + _RIDGES[:, np.newaxis]
    residual = total - (energy * (2 / kept - values / kept**2)).sum(axis=1)
    # One degree of freedom is that of the mean.
    left = 1 - (1 + (values / kept).sum(axis=1)) / len(rows)
    error = np.where(left > 0, residual / np.maximum(left, 1e-12) ** 2, np.inf)
    return turn @ (turned / kept[np.argmin(error)][:, np.newaxis])


def _parts(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _ROWS_OF_A_PART):
        yield slice(start, start + _ROWS_OF_A_PART)
