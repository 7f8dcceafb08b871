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
    repeat; repeated rows count as their sum. Rows that a batch does not touch keep their values
    and their slots.

    Attributes:
        variables: what is trained.
        slots: for each variable the tables of the optimizer's own, each of the variable's shape.
        step: how many times gradients were applied, float32.
    """

    # How many tables an optimizer keeps for each variable.
    SLOTS = 0

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        self.variables = list(variables)
        self.step = tf.Variable(0.0, trainable=False)
        self.slots = [[_zeros_like(v) for _ in range(self.SLOTS)] for v in self.variables]
        # Always zero between steps: where the repeated rows of a gradient are summed.
        self._scratch = [_zeros_like(v) for v in self.variables] if self.SLOTS else []

    def state(self) -> list[tf.Variable]:
        """All that a checkpoint must hold beside the variables."""
        return [self.step, *(slot for slots in self.slots for slot in slots)]

    def apply(self, gradients: Sequence[Gradient], learning_rate: tf.Tensor) -> None:
        """Updates every variable in place; learning_rate is a float32 scalar."""
        self.step.assign_add(1.0)
        for position, gradient in enumerate(gradients):
            if isinstance(gradient, tf.IndexedSlices):
                self._apply_rows(position, gradient.values, gradient.indices, learning_rate)
            else:
                self._apply_dense(position, gradient, learning_rate)

    @abstractmethod
    def _update(
        self, gradient: tf.Tensor, slots: list[tf.Tensor], learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """What is subtracted from the weights, and the new slots; all of the gradient's shape."""

    def _apply_dense(self, position: int, gradient: tf.Tensor, learning_rate: tf.Tensor) -> None:
        slots = self.slots[position]
        change, updated = self._update(gradient, [tf.identity(s) for s in slots], learning_rate)
        for slot, value in zip(slots, updated, strict=True):
            slot.assign(value)
        self.variables[position].assign_sub(change)

    def _apply_rows(
        self, position: int, values: tf.Tensor, rows: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        scratch = self._scratch[position]
        scratch.scatter_add(tf.IndexedSlices(values, rows))
        gradient = tf.gather(scratch, rows)
        scratch.scatter_update(tf.IndexedSlices(tf.zeros_like(values), rows))

        slots = self.slots[position]
        gathered = [tf.gather(slot, rows) for slot in slots]
        change, updated = self._update(gradient, gathered, learning_rate)
        # Repeated rows carry the same values here, so it does not matter which is written last.
        for slot, value in zip(slots, updated, strict=True):
            slot.scatter_update(tf.IndexedSlices(value, rows))
        variable = self.variables[position]
        variable.scatter_update(tf.IndexedSlices(tf.gather(variable, rows) - change, rows))


class SGD(Optimizer):
    """Plain stochastic gradient descent: w ← w − α g."""

    def _update(
        self, gradient: tf.Tensor, slots: list[tf.Tensor], learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return learning_rate * gradient, slots

    def _apply_rows(
        self, position: int, values: tf.Tensor, rows: tf.Tensor, learning_rate: tf.Tensor
    ) -> None:
        # The update is linear, so repeated rows need no sum of their own.
        self.variables[position].scatter_sub(tf.IndexedSlices(learning_rate * values, rows))


class RMSprop(Optimizer):
    """RMSprop with momentum (Tieleman & Hinton, 2012, lecture 6e).

    v ← ρ v + (1 − ρ) g², m ← μ m + α g / √(v + ε), w ← w − m, with ρ = 0.9, μ = 0.9, ε = 1e-7.
    """

    SLOTS = 2
    RHO = 0.9
    MOMENTUM = 0.9
    EPSILON = 1e-7

    def _update(
        self, gradient: tf.Tensor, slots: list[tf.Tensor], learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        mean_square, momentum = slots
        mean_square = self.RHO * mean_square + (1.0 - self.RHO) * tf.square(gradient)
        scaled = gradient / tf.sqrt(mean_square + self.EPSILON)
        momentum = self.MOMENTUM * momentum + learning_rate * scaled
        return momentum, [mean_square, momentum]


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer, 2011): s ← s + g², w ← w − α g / (√s + ε), ε = 1e-7."""

    SLOTS = 1
    EPSILON = 1e-7

    def _update(
        self, gradient: tf.Tensor, slots: list[tf.Tensor], learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        total = slots[0] + tf.square(gradient)
        return learning_rate * gradient / (tf.sqrt(total) + self.EPSILON), [total]


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015, algorithm 1), with β₁ = 0.9, β₂ = 0.999, ε = 1e-7.

    The bias correction counts all steps, as in the paper, also for rows that were not touched.
    """

    SLOTS = 2
    BETA_1 = 0.9
    BETA_2 = 0.999
    EPSILON = 1e-7

    def _update(
        self, gradient: tf.Tensor, slots: list[tf.Tensor], learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        first, second = slots
        first = self.BETA_1 * first + (1.0 - self.BETA_1) * gradient
        second = self.BETA_2 * second + (1.0 - self.BETA_2) * tf.square(gradient)
        corrected_first = first / (1.0 - self.BETA_1**self.step)
        corrected_second = second / (1.0 - self.BETA_2**self.step)
        change = learning_rate * corrected_first / (tf.sqrt(corrected_second) + self.EPSILON)
        return change, [first, second]


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
}


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros_like(variable), trainable=False)
