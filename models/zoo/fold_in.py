"""The vector of somebody whom a model never saw, from a few ratings; the movies' stay as they are.

Both ways minimise what the model's training loss says of the one user's ratings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, np.dtype[np.float32]]

# Keeps a system solvable that neither ratings nor penalty decide.
_LEAST_PENALTY = 1e-6


class FoldIn(Protocol):
    """Finds users' vectors."""

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """Vectors whose dots with the movies' are the users' scores, float32 `[B, d]`.

        Args:
            vectors: of the movies that each user rated, float32 `[B, N, d]`.
            rating: float32 `[B, N]`.
            known: which of these count, bool `[B, N]`; a user with none gets the start.
        """


def _identity(score: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return score, tf.ones_like(score)


@dataclass(frozen=True)
class SquaredErrorFoldIn:
    """Ridge regression on the movies' vectors: the least Σ_i (g(u · v_i) − r_i)² + Σ_f λ_f u_f².

    Source: the step for one user of alternating least squares in Koren, Bell & Volinsky, "Matrix
    factorization techniques for recommender systems" (2009). Where g is not the identity it is
    repeated as Gauss and Newton do.

    Attributes:
        start: the vector of somebody without ratings, `[d]`, from which u_f is counted.
        penalty: λ of each of the first entries, `[f]`; the others stay as in `start`.
        per_rating: whether the penalty counts once for each rating.
        gram: of a further term uᵀ G u of the first entries, `[f, f]`, or None.
        link: g and its derivative at scores.
        iterations: how often it is repeated; once is exact for the identity.
    """

    start: Array
    penalty: Array
    per_rating: bool
    gram: Array | None = None
    link: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] = _identity
    iterations: int = 1

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """See `FoldIn`."""
        free = len(self.penalty)
        x, counts = vectors[:, :, :free], tf.cast(known, tf.float32)
        fixed = tf.linalg.matvec(vectors, self.start)
        penalty = self._penalty(counts)
        moved = tf.zeros([tf.shape(x)[0], free])
        for _ in range(self.iterations):
            predicted, slope = self.link(fixed + tf.linalg.matvec(x, moved))
            step = x * (slope * counts)[:, :, tf.newaxis]
            gradient = tf.linalg.matvec(step, (rating - predicted) * counts, transpose_a=True)
            gradient -= tf.linalg.matvec(penalty, moved)
            moved += _solve(tf.matmul(step, step, transpose_a=True) + penalty, gradient)
        return self.start + tf.pad(moved, [[0, 0], [0, len(self.start) - free]])

    def _penalty(self, counts: tf.Tensor) -> tf.Tensor:
        """Of each user, `[B, f, f]`."""
        times = tf.reduce_sum(counts, axis=1) if self.per_rating else tf.ones_like(counts[:, 0])
        penalty = tf.linalg.diag(times[:, tf.newaxis] * self.penalty)
        return penalty if self.gram is None else penalty + self.gram


class SoftmaxFoldIn:
    """One of Newton's steps towards the least −w Σ_i log softmax_i(u · v) + n λ |p|².

    The sum is over what the user chose, the softmax over the whole catalogue, n is the number of
    the user's ratings, and u = (p, 1) begins at p = 0, where the softmax is that of the popularity
    in b. With the mean m and the covariance C of the movies' vectors under it, and c choices, the
    step is the ridge regression p = (w c C + 2 n λ I)⁻¹ w Σ_i (q_i − m).
    """

    def __init__(
        self, movie_vectors: Array, l2: float, liked_rating: float, weight: float = 1
    ) -> None:
        """Takes the moments.

        Args:
            movie_vectors: of the known movies, q_i and b_i, `[movies, d + 1]`.
            l2: λ.
            liked_rating: the lowest rating of what was chosen.
            weight: w.
        """
        vectors = np.asarray(movie_vectors, np.float64)
        q, b = vectors[:, :-1], vectors[:, -1]
        popularity = np.exp(b - b.max())
        popularity /= popularity.sum()
        mean = popularity @ q
        self._mean = mean.astype(np.float32)
        self._covariance = ((q - mean).T @ (popularity[:, np.newaxis] * (q - mean))).astype(
            np.float32
        )
        self._l2 = l2
        self._liked_rating = liked_rating
        self._weight = weight

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """See `FoldIn`."""
        ratings = tf.reduce_sum(tf.cast(known, tf.float32), axis=1)
        chosen = self._weight * tf.cast(known & (rating >= self._liked_rating), tf.float32)
        choices = tf.reduce_sum(chosen, axis=1)
        pull = tf.einsum("bn,bnd->bd", chosen, vectors[:, :, :-1] - self._mean)
        hessian = choices[:, tf.newaxis, tf.newaxis] * self._covariance + tf.linalg.diag(
            2 * self._l2 * ratings[:, tf.newaxis] * tf.ones_like(self._mean)
        )
        moved = _solve(hessian, pull)
        return tf.concat([moved, tf.ones_like(moved[:, :1])], axis=1)


def _solve(matrices: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Of positive semi-definite `[B, f, f]` and `[B, f]`, `[B, f]`."""
    size = tf.shape(right)[1]
    lower = tf.linalg.cholesky(matrices + _LEAST_PENALTY * tf.eye(size))
    return tf.squeeze(tf.linalg.cholesky_solve(lower, right[:, :, tf.newaxis]), axis=2)
