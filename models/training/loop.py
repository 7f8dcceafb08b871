"""The training loop: epochs, early stopping, checkpoints and termination, for every model."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import tensorflow as tf

from models.columns import Columns, row_count
from models.contracts import RankingModel, is_chain
from models.errors import TrainingStoppedError
from models.options import TrainingOptions
from models.training.checkpoints import TrainingCheckpoints
from models.training.devices import Processes
from models.training.history import EpochResult, best_epoch
from models.training.metrics import RMSE, Criterion
from models.training.progress import Progress, Report, reporting
from models.training.updates import Part, updates_of


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
        """Prepares the updates and the state to save.

        Args:
            model: Model to train in place: any `tfrs.Model` whose `compute_loss` returns a scalar,
                or a `FittingModel`.
            options: Options of the training.
            checkpoint_folder: Folder of the saved state; None saves nothing.
            report: Function that receives the progress after each part of an epoch. By default a
                bar on a terminal, else lines.
            strategy: Strategy under whose scope the model was created, unless it is a
                `FittingModel`; by default one device. With several processes each creates the same
                loop, and only the chief saves.
            criterion: Metric of early stopping.
        """
        strategy = strategy or tf.distribute.get_strategy()
        self._model = model
        self._criterion = criterion
        self._options = options
        self._report = report
        self._processes = Processes(strategy)
        self._updates = updates_of(model, options, strategy)
        self._variables = list(model.trainable_variables)
        self._best = [self._updates.variable_like(variable) for variable in self._variables]
        state = [*self._variables, *self._updates.state, *self._best]
        self._checkpoints = (
            None if checkpoint_folder is None else TrainingCheckpoints(checkpoint_folder, state)
        )
        self._saved_at = time.monotonic()

    def train(self, ratings: Columns, eval_ratings: Columns) -> list[EpochResult]:
        """Trains until the criterion stops improving, and leaves the best weights in the model.

        Args:
            ratings: Features that the model trains on, each an array `[n]`.
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
            ratings: Features that the model trains on, each an array `[n]`.
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
        started = time.perf_counter()
        for part in self._updates.of_epoch(ratings, position.epoch, position.step):
            position.loss_sum += part.loss_sum
            position.step = part.step
            position.seconds += time.perf_counter() - started
            report(_progress(position, self._criterion.name, part))
            if part.step < part.steps:
                self._save_or_stop(position, terminated)
            started = time.perf_counter()
        position.history.append(
            EpochResult(
                epoch=position.epoch,
                loss=position.loss_sum / part.steps,
                eval_figure=None if evaluate is None else evaluate(),
                learning_rate=part.learning_rate,
                seconds=position.seconds,
                scalars=self._model.chain_scalars() if is_chain(self._model) else {},
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


def _progress(position: _Position, criterion: str, part: Part) -> Progress:
    evaluated = [result.eval_figure for result in position.history]
    done = part.step / part.steps
    return Progress(
        epoch=position.epoch,
        epochs=position.epochs,
        fraction_of_epoch=done,
        loss=position.loss_sum / position.step,
        criterion=criterion,
        eval_figure=evaluated[-1] if evaluated else None,
        ratings_per_second=part.ratings_done / position.seconds,
        seconds_left=position.seconds / done * (position.epochs - position.epoch + 1 - done),
    )


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


def _copy(sources: Sequence[tf.Variable], targets: Sequence[tf.Variable]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.assign(source)
