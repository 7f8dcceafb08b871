"""Fold-in: the vectors of new users from a few ratings, while the movies' vectors stay.

All classes minimise the part of the model's training loss that depends on the user's ratings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from models.contracts import Contributions
from models.layers.choice_weights import ChoiceWeight

Array = np.ndarray[Any, np.dtype[np.float32]]

# Keeps a system solvable that neither ratings nor the penalty determine.
_LEAST_PENALTY = 1e-6


def _identity(score: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return score, tf.ones_like(score)


class _System(NamedTuple):
    """The normal equations M u = Xᵀ y of each user.

    Attributes:
        rows: X, float32 `[B, N, f]`.
        targets: y, float32 `[B, N]`.
        matrix: M, float32 `[B, f, f]`.
    """

    rows: tf.Tensor
    targets: tf.Tensor
    matrix: tf.Tensor


@dataclass(frozen=True)
class SquaredErrorFoldIn:
    """Ridge regression on the movies' vectors: the least Σ_i (g(u · v_i) − r_i)² + Σ_f λ_f u_f².

    Source: the step for one user of alternating least squares in Koren, Bell & Volinsky, "Matrix
    factorization techniques for recommender systems" (2009). Where g is not the identity, the step
    is repeated as in the Gauss-Newton method.

    Attributes:
        start: Vector of a user without ratings, float32 `[d]`; u_f is the difference from it.
        penalty: λ of each of the first f entries, float32 `[f]`; the others stay as in `start`.
        per_rating: Whether the penalty counts once for each rating.
        gram: G of a further term uᵀ G u of the first f entries, float32 `[f, f]`, or None.
        link: Function that returns g and its derivative for scores.
        iterations: Number of steps; one is exact where g is the identity.
    """

    start: Array
    penalty: Array
    per_rating: bool
    gram: Array | None = None
    link: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] = _identity
    iterations: int = 1

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """See `models.contracts.FoldIn`."""
        system = self._last_step(vectors, rating, known)
        moved = _solve(
            system.matrix, tf.linalg.matvec(system.rows, system.targets, transpose_a=True)
        )
        return self.start + tf.pad(moved, [[0, 0], [0, len(self.start) - len(self.penalty)]])

    def contributions(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor, movie: tf.Tensor
    ) -> Contributions:
        """See `models.contracts.FoldIn`."""
        system = self._last_step(vectors, rating, known)
        direction = _solve(system.matrix, movie[:, : len(self.penalty)])
        return Contributions(
            baseline=tf.linalg.matvec(movie, self.start),
            of_ratings=tf.linalg.matvec(system.rows, direction) * system.targets,
        )

    def _last_step(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> _System:
        """Returns the system that the last step solves for what is moved from the start."""
        free = len(self.penalty)
        x, counts = vectors[:, :, :free], tf.cast(known, tf.float32)
        fixed = tf.linalg.matvec(vectors, self.start)
        penalty = self._penalty(counts)
        moved = tf.zeros([tf.shape(x)[0], free])
        for step in range(self.iterations):
            predicted, slope = self.link(fixed + tf.linalg.matvec(x, moved))
            rows = x * (slope * counts)[:, :, tf.newaxis]
            system = _System(
                rows=rows,
                targets=(rating - predicted) * counts + tf.linalg.matvec(rows, moved),
                matrix=tf.matmul(rows, rows, transpose_a=True) + penalty,
            )
            if step + 1 < self.iterations:
                right = tf.linalg.matvec(rows, system.targets, transpose_a=True)
                moved = _solve(system.matrix, right)
        return system

    def _penalty(self, counts: tf.Tensor) -> tf.Tensor:
        """Returns each user's penalty, `[B, f, f]`."""
        times = tf.reduce_sum(counts, axis=1) if self.per_rating else tf.ones(tf.shape(counts)[:1])
        penalty = tf.linalg.diag(times[:, tf.newaxis] * self.penalty)
        return penalty if self.gram is None else penalty + self.gram


class SoftmaxFoldIn:
    """One Newton step towards the least −w Σ_i g_i log softmax_i(u · v) + n λ |p|².

    The sum is over the movies that the user rated, with g_i the weight of a rating as a choice. The
    softmax is over the whole catalogue, and n is the number of the user's ratings. u = (p, 1)
    starts at p = 0, where the softmax is the popularity in b. Let m be the mean and C the
    covariance of the movies' vectors under it. With c = Σ g_i the step is the ridge regression
    p = (w c C + 2 n λ I)⁻¹ w Σ_i g_i (q_i − m).
    """

    def __init__(
        self, movie_vectors: Array, l2: float, choice_weight: ChoiceWeight, weight: float = 1
    ) -> None:
        """Computes the mean and the covariance.

        Args:
            movie_vectors: q_i and b_i of the known movies, float32 `[movies, d + 1]`.
            l2: λ, the L2 weight.
            choice_weight: Function from ratings to how much each counts as a choice.
            weight: w, the weight of the retrieval loss.
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
        self._choice_weight = choice_weight
        self._weight = weight

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """See `models.contracts.FoldIn`."""
        pulls, hessian = self._pulls_and_hessian(vectors, rating, known)
        moved = _solve(hessian, tf.reduce_sum(pulls, axis=1))
        return tf.concat([moved, tf.ones_like(moved[:, :1])], axis=1)

    def contributions(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor, movie: tf.Tensor
    ) -> Contributions:
        """See `models.contracts.FoldIn`."""
        pulls, hessian = self._pulls_and_hessian(vectors, rating, known)
        direction = _solve(hessian, movie[:, :-1])
        return Contributions(movie[:, -1], tf.linalg.matvec(pulls, direction))

    def _pulls_and_hessian(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns w g_i (q_i − m), `[B, N, d]`, and the matrix of the step, `[B, d, d]`."""
        ratings = tf.reduce_sum(tf.cast(known, tf.float32), axis=1)
        chosen = self._weight * self._choice_weight(rating) * tf.cast(known, tf.float32)
        choices = tf.reduce_sum(chosen, axis=1)
        hessian = choices[:, tf.newaxis, tf.newaxis] * self._covariance + tf.linalg.diag(
            2 * self._l2 * ratings[:, tf.newaxis] * tf.ones_like(self._mean)
        )
        return chosen[:, :, tf.newaxis] * (vectors[:, :, :-1] - self._mean), hessian


class ImplicitFoldIn:
    """The vector with the least Σ_i g_i (1 − u · v_i)² + uᵀ G u + λ (Σ_i g_i + c) |u|².

    The sums are over the movies that the user rated, with g_i the weight of a rating as a choice.
    """

    def __init__(
        self,
        start: Array,
        gram: Array,
        l2: float,
        constant: float,
        choice_weight: ChoiceWeight,
    ) -> None:
        """Keeps what does not depend on the user.

        Args:
            start: Vector of a user whose ratings all weigh 0, float32 `[d]`.
            gram: G, float32 `[d, d]`.
            l2: λ, the L2 weight.
            constant: c, the part of the L2 weight that does not depend on the ratings.
            choice_weight: Function from ratings to how much each counts as a choice.
        """
        self._start = start
        self._gram = gram
        self._l2 = l2
        self._constant = constant
        self._choice_weight = choice_weight

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """See `models.contracts.FoldIn`."""
        weighted, systems, has_chosen = self._systems(vectors, rating, known)
        solved = _solve(systems, tf.reduce_sum(weighted, axis=1))
        return tf.where(has_chosen[:, tf.newaxis], solved, self._start)

    def contributions(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor, movie: tf.Tensor
    ) -> Contributions:
        """See `models.contracts.FoldIn`."""
        weighted, systems, has_chosen = self._systems(vectors, rating, known)
        return Contributions(
            tf.where(has_chosen, 0.0, tf.linalg.matvec(movie, self._start)),
            tf.linalg.matvec(weighted, _solve(systems, movie)),
        )

    def _systems(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns g_i v_i `[B, N, d]`, the matrices `[B, d, d]`, and who chose anything `[B]`."""
        chosen = self._choice_weight(rating) * tf.cast(known, tf.float32)
        choices = tf.reduce_sum(chosen, axis=1)
        weighted = chosen[:, :, tf.newaxis] * vectors
        ridge = self._l2 * (choices + self._constant)
        systems = tf.matmul(weighted, vectors, transpose_a=True) + self._gram
        systems += ridge[:, tf.newaxis, tf.newaxis] * tf.eye(len(self._start))
        return weighted, systems, choices > 0


def _solve(matrices: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Solves positive semi-definite systems `[B, f, f]` for right sides `[B, f]`."""
    size = tf.shape(right)[1]
    lower = tf.linalg.cholesky(matrices + _LEAST_PENALTY * tf.eye(size))
    return tf.squeeze(tf.linalg.cholesky_solve(lower, right[:, :, tf.newaxis]), axis=2)
