"""The training loop: `tf.GradientTape` over many steps inside one compiled function."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from models.columns import Columns, row_count
from models.contracts import RankingModel
from models.errors import TrainingDivergedError, TrainingStoppedError
from models.options import TrainingOptions
from models.training.checkpoints import TrainingCheckpoints
from models.training.devices import Processes, can_use_xla, variable_like
from models.training.epoch_order import EpochOrder
from models.training.history import EpochResult, best_epoch
from models.training.metrics import RMSE, Criterion
from models.training.optimizers import OPTIMIZERS, learning_rates
from models.training.progress import Progress, Report, reporting
from models.training.steps import make_steps

# Ratings that one call of the compiled function trains on. State can be saved between calls.
RATINGS_PER_CALL = 1_048_576


@dataclass
class _Position:
    """The position of a training: with the variables, all that resuming it needs."""

    epochs: int
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


class TrainingLoop:
    """Trains one model, and resumes where an interrupted loop of equal arguments stopped.

    The order of the ratings depends only on the seed and the epoch, so a resumed training ends with
    the weights of an uninterrupted one.
    """

    def __init__(
        self,
        model: RankingModel,
        options: TrainingOptions,
        checkpoint_folder: str | None = None,
        report: Report | None = None,
        strategy: tf.distribute.Strategy | None = None,
        criterion: Criterion[Any] = RMSE,
    ) -> None:
        """Prepares the optimizer and the compiled step.

        Args:
            model: Model to train in place: any `tfrs.Model` whose `compute_loss` returns a scalar.
                XLA does not compile it if its attribute `compiles_with_xla` is false.
            options: Options of the training.
            checkpoint_folder: Folder of the saved state; None saves nothing.
            report: Function that receives the progress after each call of the compiled function.
                By default a bar on a terminal, else lines.
            strategy: Strategy under whose scope the model was created; by default one device. With
                several processes each creates the same loop, and only the chief saves.
            criterion: Metric of early stopping.
        """
        strategy = strategy or tf.distribute.get_strategy()
        self._model = model
        self._criterion = criterion
        self._options = options
        self._report = report
        self._processes = Processes(strategy)
        self._variables = list(model.trainable_variables)
        self._best = [variable_like(strategy, variable) for variable in self._variables]
        xla = can_use_xla(strategy) and getattr(model, "compiles_with_xla", True)
        optimizer = OPTIMIZERS[options.optimizer](self._variables, strategy, xla)
        self._steps = make_steps(strategy, model, optimizer, options.clip_norm, xla)
        self._are_finite = tf.function(partial(_all_finite, self._variables))
        state = [*self._variables, *optimizer.state(), *self._best]
        self._checkpoints = (
            None if checkpoint_folder is None else TrainingCheckpoints(checkpoint_folder, state)
        )
        self._saved_at = time.monotonic()

    def train(self, ratings: Columns, eval_ratings: Columns) -> list[EpochResult]:
        """Trains until the criterion stops improving, and leaves the best weights in the model.

        Args:
            ratings: Features that `compute_loss` reads, each an array `[n]`.
            eval_ratings: `user_index`, `movie_index`, `rating`, each an array `[m]`.

        Returns:
            A result for each epoch that ran.

        Raises:
            ValueError: There is no rating to train on or none to evaluate on.
            TrainingDivergedError: The loss or a weight was not finite.
            TrainingStoppedError: The process received SIGTERM; state is saved.
        """
        if not row_count(eval_ratings):
            raise ValueError("the eval split has no ratings: early stopping needs some")
        evaluate = self._criterion.evaluator(self._model, eval_ratings, self._processes)
        history = self._run(ratings, self._options.epochs, evaluate)
        _copy(self._best, self._variables)
        return history

    def train_for(self, ratings: Columns, epochs: int) -> None:
        """Trains for some epochs without evaluation, on the schedule of `options.epochs`.

        Args:
            ratings: Features that `compute_loss` reads, each an array `[n]`.
            epochs: Number of epochs.

        Raises:
            ValueError: There is no rating to train on.
            TrainingDivergedError: The loss or a weight was not finite.
            TrainingStoppedError: The process received SIGTERM; state is saved.
        """
        self._run(ratings, epochs, None)

    def _run(
        self, ratings: Columns, epochs: int, evaluate: Callable[[], float] | None
    ) -> list[EpochResult]:
        if not row_count(ratings):
            raise ValueError("no rating to train on")
        notes = self._checkpoints.restore() if self._checkpoints else None
        position = _Position(epochs) if notes is None else _Position.from_notes(notes)
        with (
            _termination() as terminated,
            self._processes.explain_losses(),
            reporting(self._report) as report,
        ):
            while not position.ended:
                self._run_epoch(position, ratings, evaluate, terminated, report)
                result = position.history[-1]
                if evaluate is not None and self._best_epoch(position) == result.epoch:
                    _copy(self._variables, self._best)
                position.ended = result.epoch >= epochs or self._is_stale(position)
                self._save_or_stop(position, terminated)
        return position.history

    def _run_epoch(
        self,
        position: _Position,
        ratings: Columns,
        evaluate: Callable[[], float] | None,
        terminated: threading.Event,
        report: Report,
    ) -> None:
        """Trains on the rest of the epoch and moves the position to the start of the next."""
        rows = row_count(ratings)
        size = self._options.batch_size
        steps = math.ceil(rows / size)
        rates = learning_rates(self._options, position.epoch, steps)
        order = EpochOrder(rows, self._options.seed, position.epoch)
        while position.step < steps:
            started = time.perf_counter()
            first = position.step
            last = _end_of_call(first, rows, size)
            batches = order.rows(first * size, min(last * size, rows)).reshape(last - first, -1)
            losses = self._steps.run(ratings, batches, rates[first:last])
            self._check_finite(losses, position.epoch, first, rates)
            position.loss_sum += float(losses.sum(dtype=np.float64))
            position.step = last
            position.seconds += time.perf_counter() - started
            report(_progress(position, self._criterion.name, steps, min(last * size, rows)))
            if last < steps:
                self._save_or_stop(position, terminated)
        position.history.append(
            EpochResult(
                epoch=position.epoch,
                loss=position.loss_sum / steps,
                eval_figure=None if evaluate is None else evaluate(),
                learning_rate=float(rates[-1]),
                seconds=position.seconds,
            )
        )
        position.epoch += 1
        position.step, position.loss_sum, position.seconds = 0, 0.0, 0.0

    def _best_epoch(self, position: _Position) -> int:
        return best_epoch(position.history, self._criterion)

    def _is_stale(self, position: _Position) -> bool:
        last = position.history[-1]
        if last.eval_figure is None:
            return False
        return last.epoch - self._best_epoch(position) >= self._options.patience

    def _save_or_stop(self, position: _Position, terminated: threading.Event) -> None:
        """Saves if a save is due, and raises if one of the processes received SIGTERM."""
        stop = self._processes.any(terminated.is_set())
        if self._checkpoints and self._processes.is_chief:
            waited = time.monotonic() - self._saved_at
            if stop or position.ended or waited >= self._options.checkpoint_seconds:
                self._checkpoints.save(asdict(position))
                self._saved_at = time.monotonic()
        if stop and not position.ended:
            # All of them resume from the chief's state.
            self._processes.wait_for_all()
            kept = "all state is saved" if self._checkpoints else "no state is saved"
            raise TrainingStoppedError(
                f"SIGTERM stopped the training in epoch {position.epoch} after step "
                f"{position.step}; {kept}"
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


def _progress(position: _Position, criterion: str, steps: int, ratings_done: int) -> Progress:
    evaluated = [result.eval_figure for result in position.history]
    done = position.step / steps
    return Progress(
        epoch=position.epoch,
        epochs=position.epochs,
        fraction_of_epoch=done,
        loss=position.loss_sum / position.step,
        criterion=criterion,
        eval_figure=evaluated[-1] if evaluated else None,
        ratings_per_second=ratings_done / position.seconds,
        seconds_left=position.seconds / done * (position.epochs - position.epoch + 1 - done),
    )


def _end_of_call(first: int, rows: int, batch_size: int) -> int:
    """Returns the step before which a call that begins at a step ends.

    All batches of a call have one size, so the smaller batch at the end has a call of its own.
    """
    whole = rows // batch_size
    if first >= whole:
        return first + 1
    return min(first + max(1, RATINGS_PER_CALL // batch_size), whole)


@contextmanager
def _termination() -> Iterator[threading.Event]:
    """Provides an event that SIGTERM sets, as it comes to a preempted worker.

    SIGTERM does not end the process meanwhile. Only the main thread receives signals; in another
    thread the event is never set.
    """
    terminated = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield terminated
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def _all_finite(variables: Sequence[tf.Variable]) -> tf.Tensor:
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables])


def _copy(sources: Sequence[tf.Variable], targets: Sequence[tf.Variable]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.assign(source)
