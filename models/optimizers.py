"""Optimizers that update only the embedding rows a batch touched, written for XLA.

Keras optimizers sum duplicate rows with `tf.unique`, whose output has no static shape, so XLA
cannot compile them inside a loop over steps; these sum duplicates in a scratch table instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Gradient: TypeAlias = Any  # tf.Tensor or tf.IndexedSlices


class Optimizer(ABC):
    """Applies gradients to a fixed list of variables.

    A gradient is a `tf.Tensor` of the variable's shape or a `tf.IndexedSlices` whose rows may
    repeat; repeated rows count as their sum.
    """

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        self.variables = list(variables)

    def apply(self, gradients: Sequence[Gradient], learning_rate: tf.Tensor) -> None:
        """Updates every variable in place; learning_rate is a float32 scalar."""
        for position, gradient in enumerate(gradients):
            if isinstance(gradient, tf.IndexedSlices):
                self._apply_rows(position, gradient.values, gradient.indices, learning_rate)
            else:
                self._apply_dense(position, gradient, learning_rate)

    @abstractmethod
    def _apply_dense(
        self, position: int, gradient: tf.Tensor, learning_rate: tf.Tensor
    ) -> None: ...

    @abstractmethod
    def _apply_rows(
        self, position: int, values: tf.Tensor, rows: tf.Tensor, learning_rate: tf.Tensor
    ) -> None: ...


class SGD(Optimizer):
    """Plain stochastic gradient descent: w ← w − α g."""

    def _apply_dense(self, position: int, gradient: tf.Tensor, learning_rate: tf.Tensor) -> None:
        self.variables[position].assign_sub(learning_rate * gradient)

    def _apply_rows(
        self, position: int, values: tf.Tensor, rows: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        self.variables[position].scatter_sub(tf.IndexedSlices(learning_rate * values, rows))


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015, algorithm 1); rows that a batch does not touch keep their moments.

    β₁ = 0.9, β₂ = 0.999, ε = 1e-7. The bias correction counts all steps, as in the paper.
    """

    BETA_1 = 0.9
    BETA_2 = 0.999
    EPSILON = 1e-7

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        super().__init__(variables)
        self.step = tf.Variable(0.0, trainable=False)
        self.first_moments = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        self.second_moments = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        # Always zero between steps: where the repeated rows of a gradient are summed.
        self._scratch = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]

    def apply(self, gradients: Sequence[Gradient], learning_rate: tf.Tensor) -> None:
        """Updates every variable in place, with the learning rate corrected for the moments."""
        self.step.assign_add(1.0)
        correction = tf.sqrt(1.0 - self.BETA_2**self.step) / (1.0 - self.BETA_1**self.step)
        super().apply(gradients, learning_rate * correction)

    def _moments(
        self, gradient: tf.Tensor, first: tf.Tensor, second: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        first = self.BETA_1 * first + (1.0 - self.BETA_1) * gradient
        second = self.BETA_2 * second + (1.0 - self.BETA_2) * tf.square(gradient)
        return first, second

    def _apply_dense(self, position: int, gradient: tf.Tensor, learning_rate: tf.Tensor) -> None:
        first, second = self._moments(
            gradient, self.first_moments[position], self.second_moments[position]
        )
        self.first_moments[position].assign(first)
        self.second_moments[position].assign(second)
        self.variables[position].assign_sub(
            learning_rate * first / (tf.sqrt(second) + self.EPSILON)
        )

    def _apply_rows(
        self, position: int, values: tf.Tensor, rows: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        scratch = self._scratch[position]
        scratch.scatter_add(tf.IndexedSlices(values, rows))
        gradient = tf.gather(scratch, rows)
        scratch.scatter_update(tf.IndexedSlices(tf.zeros_like(values), rows))

        first, second = self._moments(
            gradient,
            tf.gather(self.first_moments[position], rows),
            tf.gather(self.second_moments[position], rows),
        )
        # Repeated rows carry the same values here, so it does not matter which is written last.
        self.first_moments[position].scatter_update(tf.IndexedSlices(first, rows))
        self.second_moments[position].scatter_update(tf.IndexedSlices(second, rows))
        current = tf.gather(self.variables[position], rows)
        step = learning_rate * first / (tf.sqrt(second) + self.EPSILON)
        self.variables[position].scatter_update(tf.IndexedSlices(current - step, rows))


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam}
