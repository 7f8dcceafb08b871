"""The training loop: `tf.GradientTape` over many steps inside one compiled function."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from models import features
from models.checkpoints import TrainingCheckpoints
from models.columns import Columns, row_count
from models.errors import TrainingDivergedError, TrainingStoppedError
from models.optimizers import OPTIMIZERS
from models.options import TrainingOptions
from models.progress import Progress, Report, report_to_log
from models.registry import RatingModel
from models.schedules import learning_rates
from models.termination import TerminationFlag

_PREDICTION_BATCH = 65_536
# Ratings that one call of the compiled function trains on; between calls state can be saved.
_RATINGS_PER_CALL = 1_048_576


@dataclass(frozen=True)
class EpochResult:
    """One epoch: mean training loss, RMSE on the eval split (None when there is none), seconds."""

    epoch: int
    loss: float
    eval_rmse: float | None
    learning_rate: float
    seconds: float


@dataclass
class _Position:
    """How far a training has come; with the variables, all that it needs to go on."""

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    ended: bool = False
    history: list[EpochResult] = field(default_factory=list)

    @classmethod
    def from_notes(cls, notes: dict[str, Any]) -> _Position:
        history = [EpochResult(**result) for result in notes.pop("history")]
        return cls(**notes, history=history)


def best_epoch(history: Sequence[EpochResult]) -> int:
    """The epoch (from 1) with the lowest eval RMSE, the first of equals.

    Raises:
        ValueError: no epoch has an eval RMSE.
    """
    evaluated = [result for result in history if result.eval_rmse is not None]
    return min(evaluated, key=lambda result: (result.eval_rmse, result.epoch)).epoch


def best_eval_rmse(history: Sequence[EpochResult]) -> float:
    """The lowest eval RMSE of all epochs.

    Raises:
        ValueError: no epoch has an eval RMSE.
    """
    return min(result.eval_rmse for result in history if result.eval_rmse is not None)


class TrainingLoop:
    """Trains one model; interrupted, a loop of the same arguments goes on where this one was.

    Each epoch takes the ratings in an order that depends on the seed and the epoch alone, so a
    training that was resumed ends with the weights of one that was not.
    """

    def __init__(
        self,
        model: RatingModel,
        options: TrainingOptions,
        checkpoint_folder: str | None = None,
        report: Report = report_to_log,
    ) -> None:
        """Prepares the optimizer and the compiled step.

        Args:
            model: trained in place; any `tfrs.Model` whose `compute_loss` returns a scalar.
            options: optimizer, schedule, when to stop, how often to save.
            checkpoint_folder: where state is saved; None to save none.
            report: told of the progress after each call of the compiled function.
        """
        self._model = model
        self._options = options
        self._report = report
        self._variables = list(model.trainable_variables)
        self._optimizer = OPTIMIZERS[options.optimizer](self._variables)
        self._best = [tf.Variable(variable, trainable=False) for variable in self._variables]
        self._run_steps = tf.function(self._train_on_batches, jit_compile=True)
        state = [*self._variables, *self._optimizer.state(), *self._best]
        self._checkpoints = (
            None if checkpoint_folder is None else TrainingCheckpoints(checkpoint_folder, state)
        )
        self._saved_at = time.monotonic()

    def train(self, ratings: Columns, eval_ratings: Columns) -> list[EpochResult]:
        """Trains until the eval RMSE stops improving; leaves the best weights in the model.

        Args:
            ratings: what `compute_loss` reads, one array of length n a feature.
            eval_ratings: `user_index`, `movie_index`, `rating`.

        Returns:
            One result for each epoch that ran.

        Raises:
            ValueError: there is no rating to train on or none to evaluate on.
            TrainingDivergedError: the loss was not finite.
            TrainingStoppedError: the process was told to terminate; state is saved.
        """
        if not row_count(eval_ratings):
            raise ValueError("the eval split has no ratings: early stopping needs some")
        evaluate = partial(_rmse, _compile_prediction(self._model), eval_ratings)
        history = self._run(ratings, self._options.epochs, evaluate)
        _copy(self._best, self._variables)
        return history

    def train_for(self, ratings: Columns, epochs: int) -> None:
        """Trains for a number of epochs with no evaluation, on the schedule of `options.epochs`.

        Raises:
            ValueError: there is no rating to train on.
            TrainingDivergedError: the loss was not finite.
            TrainingStoppedError: the process was told to terminate; state is saved.
        """
        self._run(ratings, epochs, None)

    def _run(
        self, ratings: Columns, epochs: int, evaluate: Callable[[], float] | None
    ) -> list[EpochResult]:
        if not row_count(ratings):
            raise ValueError(
                "no rating to train on: the train split is empty, or "
                "transform.min_ratings_per_user and min_ratings_per_movie leave nobody"
            )
        notes = self._checkpoints.restore() if self._checkpoints else None
        position = _Position() if notes is None else _Position.from_notes(notes)
        with TerminationFlag() as terminated:
            while not position.ended:
                self._run_epoch(position, ratings, evaluate, terminated)
                result = position.history[-1]
                if evaluate is not None and best_epoch(position.history) == result.epoch:
                    _copy(self._variables, self._best)
                position.ended = result.epoch >= epochs or self._is_stale(position.history)
                self._save(position, due=position.ended or terminated.is_set())
                if terminated.is_set() and not position.ended:
                    raise self._stopped(position)
        return position.history

    def _run_epoch(
        self,
        position: _Position,
        ratings: Columns,
        evaluate: Callable[[], float] | None,
        terminated: TerminationFlag,
    ) -> None:
        """Trains on the rest of the epoch and moves the position to the start of the next."""
        rows = row_count(ratings)
        size = self._options.batch_size
        steps = math.ceil(rows / size)
        rates = learning_rates(self._options, position.epoch, steps)
        order = _shuffled(rows, self._options.seed, position.epoch)
        while position.step < steps:
            started = time.perf_counter()
            first = position.step
            last = _end_of_call(first, rows, size)
            chosen = order[first * size : last * size]
            losses = self._run_steps(
                {name: tf.constant(values[chosen]) for name, values in ratings.items()},
                tf.constant(rates[first:last]),
                batch_size=len(chosen) // (last - first),
            ).numpy()
            _refuse_divergence(losses, position.epoch, first, rates, self._options)
            position.loss_sum += float(losses.sum(dtype=np.float64))
            position.step = last
            position.seconds += time.perf_counter() - started
            self._report(self._progress(position, steps, min(last * size, rows)))
            if last < steps:
                self._save(position, due=terminated.is_set())
                if terminated.is_set():
                    raise self._stopped(position)
        position.history.append(
            EpochResult(
                epoch=position.epoch,
                loss=position.loss_sum / steps,
                eval_rmse=None if evaluate is None else evaluate(),
                learning_rate=float(rates[-1]),
                seconds=position.seconds,
            )
        )
        position.epoch += 1
        position.step, position.loss_sum, position.seconds = 0, 0.0, 0.0

    def _train_on_batches(
        self, columns: dict[str, tf.Tensor], rates: tf.Tensor, batch_size: int
    ) -> tf.Tensor:
        """Trains on consecutive batches of the columns; the loss of each, `[steps]`."""
        losses = tf.zeros_like(rates)
        for step in tf.range(tf.size(rates)):
            batch = {
                name: tf.slice(values, [step * batch_size], [batch_size])
                for name, values in columns.items()
            }
            with tf.GradientTape() as tape:
                loss = self._model.compute_loss(batch, training=True)
            gradients = tape.gradient(loss, self._variables)
            if self._options.clip_norm:
                gradients, _ = tf.clip_by_global_norm(gradients, self._options.clip_norm)
            self._optimizer.apply(gradients, rates[step])
            losses = tf.tensor_scatter_nd_update(losses, [[step]], [loss])
        return losses

    def _is_stale(self, history: list[EpochResult]) -> bool:
        if history[-1].eval_rmse is None:
            return False
        return history[-1].epoch - best_epoch(history) >= self._options.patience

    def _save(self, position: _Position, due: bool) -> None:
        if self._checkpoints is None:
            return
        if due or time.monotonic() - self._saved_at >= self._options.checkpoint_seconds:
            self._checkpoints.save(asdict(position))
            self._saved_at = time.monotonic()

    def _stopped(self, position: _Position) -> TrainingStoppedError:
        kept = "all state is saved" if self._checkpoints else "no state was to be saved"
        return TrainingStoppedError(
            f"told to terminate in epoch {position.epoch} after step {position.step}; {kept}"
        )

    def _progress(self, position: _Position, steps: int, ratings_done: int) -> Progress:
        evaluated = [result.eval_rmse for result in position.history]
        return Progress(
            epoch=position.epoch,
            epochs=self._options.epochs,
            fraction_of_epoch=position.step / steps,
            loss=position.loss_sum / position.step,
            eval_rmse=evaluated[-1] if evaluated else None,
            ratings_per_second=ratings_done / position.seconds,
        )


def rmse(model: RatingModel, ratings: Columns) -> float:
    """Root mean squared error of the predicted ratings, in stars; NaN without ratings."""
    return _rmse(_compile_prediction(model), ratings)


def _compile_prediction(model: RatingModel) -> Callable[..., tf.Tensor]:
    return tf.function(model.predict_rating, reduce_retracing=True)


def _rmse(predict: Callable[..., tf.Tensor], ratings: Columns) -> float:
    rows = row_count(ratings)
    if not rows:
        return math.nan
    squared_errors = 0.0
    for start in range(0, rows, _PREDICTION_BATCH):
        end = start + _PREDICTION_BATCH
        batch = {name: values[start:end] for name, values in ratings.items()}
        predicted = predict(batch[features.USER_INDEX], batch[features.MOVIE_INDEX]).numpy()
        errors = predicted.astype(np.float64) - batch[features.RATING]
        squared_errors += float(np.sum(np.square(errors)))
    return math.sqrt(squared_errors / rows)


def _shuffled(rows: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The order of the rows in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(np.arange(rows, dtype=np.int32))


def _end_of_call(first: int, rows: int, batch_size: int) -> int:
    """The step before which a call that begins at a step ends.

    All batches of a call are of one size, so the smaller one at the end has a call of its own.
    """
    whole = rows // batch_size
    if first >= whole:
        return first + 1
    return min(first + max(1, _RATINGS_PER_CALL // batch_size), whole)


def _refuse_divergence(
    losses: np.ndarray[Any, np.dtype[np.float32]],
    epoch: int,
    first: int,
    rates: np.ndarray[Any, np.dtype[np.float32]],
    options: TrainingOptions,
) -> None:
    finite = np.isfinite(losses)
    if finite.all():
        return
    step = int(np.argmin(finite))
    raise TrainingDivergedError(
        f"the loss was {losses[step]} at epoch {epoch}, step {first + step + 1}, with learning "
        f"rate {rates[first + step]:g} ({options.optimizer}): lower training.learning_rate or set "
        f"training.clip_norm"
    )


def _copy(sources: Sequence[tf.Variable], targets: Sequence[tf.Variable]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.assign(source)
