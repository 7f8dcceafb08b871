"""What happens to a model in an epoch: gradient steps, or the model's own updates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import tensorflow as tf

from models.columns import Columns, row_count
from models.contracts import FittingModel, GradientModel, RankingModel, trains_by_gradients
from models.errors import TrainingDivergedError
from models.options import TrainingOptions
from models.training.devices import can_use_xla, variable_like
from models.training.epoch_order import EpochOrder
from models.training.optimizers import OPTIMIZERS, learning_rates
from models.training.steps import make_steps

# Ratings that one call of the compiled function trains on. State can be saved between calls.
RATINGS_PER_CALL = 1_048_576

_REMEDY = "look for ratings that are extreme or no numbers, or raise model.l2_embedding"


@dataclass(frozen=True)
class Part:
    """A part of an epoch after which state can be saved.

    Attributes:
        step: Number of steps of the epoch that are done.
        steps: Number of steps in the epoch.
        loss_sum: Sum of the losses of the steps in this part.
        ratings_done: Number of ratings of the epoch that were trained on.
        learning_rate: Learning rate of the last step; None where there is none.
    """

    step: int
    steps: int
    loss_sum: float
    ratings_done: int
    learning_rate: float | None


class Updates(Protocol):
    """The updates of one model.

    Attributes:
        state: Variables beside the trainable ones that resuming needs.
    """

    state: list[tf.Variable]

    def variable_like(self, variable: tf.Variable) -> tf.Variable:
        """Returns a variable of zeros for a copy of a trainable one."""

    def of_epoch(self, ratings: Columns, epoch: int, step: int) -> Iterator[Part]:
        """Updates the model, part by part, to the end of an epoch.

        Args:
            ratings: Features of the ratings, each an array `[n]`.
            epoch: Number of the epoch, from 1.
            step: Number of its steps that are done.

        Raises:
            TrainingDivergedError: The loss or a weight was not finite.
        """


def updates_of(
    model: RankingModel, options: TrainingOptions, strategy: tf.distribute.Strategy
) -> Updates:
    """Returns the model's own updates if it has some, else gradient steps."""
    if trains_by_gradients(model):
        return _GradientSteps(model, options, strategy)
    return _OwnUpdates(cast(FittingModel, model))


class _OwnUpdates:
    """The epochs of `FittingModel.fit`; every process computes all of them, with equal results."""

    def __init__(self, model: FittingModel) -> None:
        weights = {variable.ref() for variable in model.trainable_variables}
        self.state = [variable for variable in model.variables if variable.ref() not in weights]
        self._model = model
        self._steps_per_epoch: int = getattr(model, "steps_per_epoch", 1)
        self._steps: Iterator[float] | None = None
        self._are_finite = partial(_all_finite, model.trainable_variables)

    def variable_like(self, variable: tf.Variable) -> tf.Variable:
        return tf.Variable(tf.zeros_like(variable), trainable=False)

    def of_epoch(self, ratings: Columns, epoch: int, step: int) -> Iterator[Part]:
        steps = self._steps_per_epoch
        if self._steps is None:
            self._steps = self._model.fit(ratings, (epoch - 1) * steps + step + 1)
        while step < steps:
            loss = self._take_step(self._steps, epoch)
            step += 1
            yield Part(step, steps, loss, row_count(ratings) * step // steps, None)

    def _take_step(self, steps: Iterator[float], epoch: int) -> float:
        """Takes the next step and returns its loss, after it has checked the model."""
        try:
            loss = next(steps)
        except tf.errors.InvalidArgumentError as error:
            # A decomposition met a matrix that is not finite, or not positive definite.
            raise TrainingDivergedError(
                f"{error.message.splitlines()[0]} (epoch {epoch}): {_REMEDY}"
            ) from error
        if not (math.isfinite(loss) and self._are_finite()):
            raise TrainingDivergedError(
                f"the loss, {loss:g}, or a weight was not finite in epoch {epoch}: {_REMEDY}"
            )
        return loss


class _GradientSteps:
    """Steps by `tf.GradientTape`, many of them inside one call of a compiled function."""

    def __init__(
        self, model: GradientModel, options: TrainingOptions, strategy: tf.distribute.Strategy
    ) -> None:
        variables = list(model.trainable_variables)
        xla = can_use_xla(strategy)
        optimizer = OPTIMIZERS[options.optimizer](variables, strategy, xla)
        self.state = list(optimizer.state())
        self._options = options
        self._strategy = strategy
        self._steps = make_steps(strategy, model, optimizer, options.clip_norm, xla)
        self._are_finite = tf.function(partial(_all_finite, variables), autograph=False)

    def variable_like(self, variable: tf.Variable) -> tf.Variable:
        return variable_like(self._strategy, variable)

    def of_epoch(self, ratings: Columns, epoch: int, step: int) -> Iterator[Part]:
        rows = row_count(ratings)
        size = self._options.batch_size
        steps = math.ceil(rows / size)
        rates = learning_rates(self._options, epoch, steps)
        order = EpochOrder(rows, self._options.seed, epoch)
        while step < steps:
            first, step = step, _end_of_call(step, rows, size)
            batches = order.rows(first * size, min(step * size, rows)).reshape(step - first, -1)
            losses = self._steps.run(ratings, batches, rates[first:step])
            self._check_finite(losses, epoch, first, rates)
            yield Part(
                step,
                steps,
                loss_sum=float(losses.sum(dtype=np.float64)),
                ratings_done=min(step * size, rows),
                learning_rate=float(rates[step - 1]),
            )

    def _check_finite(
        self,
        losses: np.ndarray[Any, np.dtype[np.float32]],
        epoch: int,
        first: int,
        rates: np.ndarray[Any, np.dtype[np.float32]],
    ) -> None:
        """Raises unless all losses, and all weights after them, are finite."""
        finite = np.isfinite(losses)
        step = len(losses) - 1 if finite.all() else int(np.argmin(finite))
        if not finite.all():
            problem = f"the loss was {losses[step]}"
        elif not self._are_finite():
            # The gradient of the last step: no loss has been computed since.
            problem = "a weight was not finite"
        else:
            return
        raise TrainingDivergedError(
            f"{problem} at epoch {epoch}, step {first + step + 1}, with learning rate "
            f"{rates[first + step]:g} ({self._options.optimizer}): lower training.learning_rate "
            "or set training.clip_norm"
        )


def _end_of_call(first: int, rows: int, batch_size: int) -> int:
    """Returns the step before which a call that begins at a step ends.

    All batches of a call have one size, so the smaller batch at the end has a call of its own.
    """
    whole = rows // batch_size
    if first >= whole:
        return first + 1
    return min(first + max(1, RATINGS_PER_CALL // batch_size), whole)


def _all_finite(variables: Sequence[tf.Variable]) -> tf.Tensor:
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables])
