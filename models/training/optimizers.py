"""Optimizers, and the schedules of their learning rate.

The optimizers update only the embedding rows that a batch uses, on one device or on many. Keras
optimizers sum repeated rows with `tf.unique`, whose output has no static shape, so XLA cannot
compile them in a loop over steps. Under XLA these sum repeated rows in a scratch table instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from models.options import TrainingOptions
from models.training.devices import variable_like

Gradient: TypeAlias = Any  # tf.Tensor or tf.IndexedSlices
Change: TypeAlias = tuple[tf.Tensor, list[tf.Tensor]]


class Moment(NamedTuple):
    """The learning rate of a gradient, and the number of gradients applied, this one included."""

    learning_rate: tf.Tensor
    step: tf.Tensor


class Optimizer(ABC):
    """Applies gradients to a fixed list of variables.

    A gradient is a `tf.Tensor` of the variable's shape or a `tf.IndexedSlices`. Rows that repeat in
    one are summed. Rows that a batch does not use keep their values and their slots.

    Attributes:
        variables: Variables to train.
        slots: Tables that the optimizer keeps for each variable, each of the variable's shape.
        step: Number of times that gradients were applied, float32.
    """

    # Number of tables that the optimizer keeps for each variable.
    SLOTS = 0

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        strategy: tf.distribute.Strategy | None = None,
        xla: bool = True,
    ) -> None:
        """Creates the slots on the devices of the variables.

        Args:
            variables: Variables created under the strategy's scope.
            strategy: Distribution strategy; by default that of one device.
            xla: Whether XLA compiles `apply`. Every variable then needs a scratch table of its
                size, which processes that share variables cannot share.
        """
        self.variables = list(variables)
        self._strategy = strategy or tf.distribute.get_strategy()
        with self._strategy.scope():
            self.step = tf.Variable(0.0, trainable=False)
        self.slots = [
            [variable_like(self._strategy, variable) for _ in range(self.SLOTS)]
            for variable in self.variables
        ]
        # Zero between steps.
        self._scratch = (
            [variable_like(self._strategy, variable) for variable in self.variables]
            if self.SLOTS and xla
            else []
        )

    def state(self) -> list[tf.Variable]:
        """Returns all that a checkpoint must hold beside the variables."""
        return [self.step, *(slot for slots in self.slots for slot in slots)]

    def apply(self, gradients: Sequence[Gradient], learning_rate: tf.Tensor) -> None:
        """Updates every variable in place; each device updates its own copy.

        Args:
            gradients: Gradients of the global batch in the order of the variables, present on
                every replica.
            learning_rate: Learning rate, a float32 scalar.
        """
        self.step.assign_add(1.0)
        at = Moment(learning_rate, self.step.read_value())
        for position, (variable, gradient) in enumerate(
            zip(self.variables, gradients, strict=True)
        ):
            self._strategy.extended.update(
                variable,
                partial(self._apply_one, position),
                args=(gradient, at),
                group=False,
            )

    def _apply_one(
        self, position: int, variable: tf.Variable, gradient: Gradient, at: Moment
    ) -> None:
        if isinstance(gradient, tf.IndexedSlices):
            self._apply_rows(position, variable, gradient, at)
        else:
            self._apply_dense(position, variable, gradient, at)

    @abstractmethod
    def _update(self, gradient: tf.Tensor, slots: list[tf.Tensor], at: Moment) -> Change:
        """Returns the change to subtract and the new slots, all of the gradient's shape."""

    def _apply_dense(
        self, position: int, variable: tf.Variable, gradient: tf.Tensor, at: Moment
    ) -> None:
        slots = self.slots[position]
        values = [slot.read_value() for slot in slots]
        change, updated = self._update(gradient, values, at)
        for slot, value in zip(slots, updated, strict=True):
            slot.assign(value)
        variable.assign_sub(change)

    def _apply_rows(
        self, position: int, variable: tf.Variable, gradient: tf.IndexedSlices, at: Moment
    ) -> None:
        values, rows = self._sum_repeated(position, gradient)
        slots = self.slots[position]
        gathered = [tf.gather(slot, rows) for slot in slots]
        change, updated = self._update(values, gathered, at)
        # Rows that still repeat carry equal values: any of them may be written last.
        for slot, value in zip(slots, updated, strict=True):
            slot.scatter_update(tf.IndexedSlices(value, rows))
        variable.scatter_update(tf.IndexedSlices(tf.gather(variable, rows) - change, rows))

    def _sum_repeated(
        self, position: int, gradient: tf.IndexedSlices
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the sum of the values of each row, and the rows."""
        values, rows = gradient.values, gradient.indices
        if not self._scratch:
            rows, segments = tf.unique(rows)
            return tf.math.unsorted_segment_sum(values, segments, tf.size(rows)), rows
        scratch = self._scratch[position]
        scratch.scatter_add(gradient)
        summed = tf.gather(scratch, rows)
        scratch.scatter_update(tf.IndexedSlices(tf.zeros_like(values), rows))
        return summed, rows


class SGD(Optimizer):
    """Plain stochastic gradient descent: w ← w − α g."""

    def _update(self, gradient: tf.Tensor, slots: list[tf.Tensor], at: Moment) -> Change:
        return at.learning_rate * gradient, slots

    def _apply_rows(
        self, position: int, variable: tf.Variable, gradient: tf.IndexedSlices, at: Moment
    ) -> None:
        # The update is linear, so repeated rows need not be summed first.
        variable.scatter_sub(tf.IndexedSlices(at.learning_rate * gradient.values, gradient.indices))


class RMSprop(Optimizer):
    """RMSprop with momentum (Tieleman & Hinton, 2012, lecture 6e).

    v ← ρ v + (1 − ρ) g², m ← μ m + α g / √(v + ε), w ← w − m, with ρ = 0.9, μ = 0.9, ε = 1e-7.
    """

    SLOTS = 2
    RHO = 0.9
    MOMENTUM = 0.9
    EPSILON = 1e-7

    def _update(self, gradient: tf.Tensor, slots: list[tf.Tensor], at: Moment) -> Change:
        mean_square, momentum = slots
        mean_square = self.RHO * mean_square + (1.0 - self.RHO) * tf.square(gradient)
        scaled = gradient / tf.sqrt(mean_square + self.EPSILON)
        momentum = self.MOMENTUM * momentum + at.learning_rate * scaled
        return momentum, [mean_square, momentum]


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer, 2011): s ← s + g², w ← w − α g / (√s + ε), ε = 1e-7."""

    SLOTS = 1
    EPSILON = 1e-7

    def _update(self, gradient: tf.Tensor, slots: list[tf.Tensor], at: Moment) -> Change:
        total = slots[0] + tf.square(gradient)
        return at.learning_rate * gradient / (tf.sqrt(total) + self.EPSILON), [total]


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015, algorithm 1), with β₁ = 0.9, β₂ = 0.999, ε = 1e-7.

    The bias correction counts all steps, as in the paper, even for rows that a step did not use.
    """

    SLOTS = 2
    BETA_1 = 0.9
    BETA_2 = 0.999
    EPSILON = 1e-7

    def _update(self, gradient: tf.Tensor, slots: list[tf.Tensor], at: Moment) -> Change:
        first, second = slots
        first = self.BETA_1 * first + (1.0 - self.BETA_1) * gradient
        second = self.BETA_2 * second + (1.0 - self.BETA_2) * tf.square(gradient)
        corrected_first = first / (1.0 - self.BETA_1**at.step)
        corrected_second = second / (1.0 - self.BETA_2**at.step)
        change = at.learning_rate * corrected_first / (tf.sqrt(corrected_second) + self.EPSILON)
        return change, [first, second]


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
}


def learning_rates(
    options: TrainingOptions, epoch: int, steps: int
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Returns the learning rate of each step of an epoch, float32 `[steps]`.

    Cosine decay runs from `learning_rate` to zero over all `options.epochs` (Loshchilov & Hutter,
    2017, equation 5, without restarts). The warm-up is a factor that rises linearly from zero to
    one over `warmup_epochs`.

    Args:
        options: Options of the training.
        epoch: Number of the epoch, from 1.
        steps: Number of steps in an epoch.
    """
    epochs_done = epoch - 1 + np.arange(steps) / steps
    rates = np.full(steps, options.learning_rate)
    if options.schedule == "cosine":
        rates *= 0.5 * (1 + np.cos(np.pi * epochs_done / options.epochs))
    if options.warmup_epochs:
        # A step counts as done when it is taken, so that the first one moves already.
        rates *= np.minimum(1.0, (epochs_done + 1 / steps) / options.warmup_epochs)
    return rates.astype(np.float32)
