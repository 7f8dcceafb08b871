"""The training loop: `tf.GradientTape` over many steps inside one compiled function."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns, row_count
from models.errors import TrainingDivergedError
from models.optimizers import OPTIMIZERS, Optimizer
from models.options import TrainingOptions
from models.registry import RatingModel

_PREDICTION_BATCH = 65_536


@dataclass(frozen=True)
class EpochResult:
    """One epoch: mean training loss, RMSE on the eval split (NaN when there is none), seconds."""

    epoch: int
    loss: float
    eval_rmse: float
    learning_rate: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def train(
    model: RatingModel,
    ratings: Columns,
    eval_ratings: Columns,
    options: TrainingOptions,
    on_epoch: Callable[[EpochResult], None],
) -> list[EpochResult]:
    """Trains until the eval RMSE stops improving, and leaves the best weights in the model.

    Args:
        model: trained in place.
        ratings: what `compute_loss` reads, one array of length n a feature.
        eval_ratings: `user_index`, `movie_index`, `rating`.
        options: the optimizer, the schedule and when to stop.
        on_epoch: called after each epoch.

    Returns:
        One result for each epoch that ran; the best is the one with the lowest eval RMSE.

    Raises:
        ValueError: there is no rating to train on or none to evaluate on.
        TrainingDivergedError: the loss was not finite.
    """
    if not row_count(eval_ratings):
        raise ValueError("the eval split has no ratings: early stopping needs some")
    history: list[EpochResult] = []
    best_rmse, best_weights = math.inf, _weights(model)
    evaluate = partial(_rmse, _compile_prediction(model), eval_ratings)
    for result in _epochs(model, ratings, evaluate, options, options.epochs):
        history.append(result)
        on_epoch(result)
        if result.eval_rmse < best_rmse:
            best_rmse, best_weights = result.eval_rmse, _weights(model)
        elif result.epoch - best_epoch(history) >= options.patience:
            break
    for variable, value in zip(model.trainable_variables, best_weights, strict=True):
        variable.assign(value)
    return history


def train_for(
    model: RatingModel,
    ratings: Columns,
    epochs: int,
    options: TrainingOptions,
    on_epoch: Callable[[EpochResult], None],
) -> list[EpochResult]:
    """Trains for a number of epochs with no evaluation, on the schedule of `options.epochs`.

    Raises:
        ValueError: there is no rating to train on.
        TrainingDivergedError: the loss was not finite.
    """
    history = []
    for result in _epochs(model, ratings, lambda: math.nan, options, epochs):
        history.append(result)
        on_epoch(result)
    return history


def best_epoch(history: Sequence[EpochResult]) -> int:
    """The epoch (from 1) with the lowest eval RMSE."""
    return min(history, key=lambda result: result.eval_rmse).epoch


def rmse(model: RatingModel, ratings: Columns) -> float:
    """Root mean squared error of the predicted ratings, in stars; NaN without ratings."""
    return _rmse(_compile_prediction(model), ratings)


def _epochs(
    model: RatingModel,
    ratings: Columns,
    evaluate: Callable[[], float],
    options: TrainingOptions,
    epochs: int,
) -> Iterator[EpochResult]:
    """Yields the result of each epoch as it ends."""
    rows = row_count(ratings)
    if not rows:
        raise ValueError(
            "no rating to train on: the train split is empty, or transform.min_ratings_per_user "
            "and min_ratings_per_movie leave nobody"
        )
    run_steps = _compile_steps(model, OPTIMIZERS[options.optimizer](model.trainable_variables))
    steps = math.ceil(rows / options.batch_size)
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        rates = learning_rates(options, epoch, steps)
        order = np.random.default_rng([options.seed, epoch]).permutation(rows)
        losses = _run_epoch(run_steps, {k: v[order] for k, v in ratings.items()}, rates, options)
        _refuse_divergence(losses, epoch, rates, options)
        yield EpochResult(
            epoch=epoch,
            loss=float(losses.mean()),
            eval_rmse=evaluate(),
            learning_rate=float(rates[-1]),
            seconds=time.perf_counter() - started,
        )


def learning_rates(
    options: TrainingOptions, epoch: int, steps: int
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The learning rate of each step of an epoch (from 1), float32 `[steps]`.

    Cosine decay runs from `learning_rate` to zero over all `options.epochs` (Loshchilov &
    Hutter, 2017, equation 5, without restarts).
    """
    if options.schedule == "constant":
        return np.full(steps, options.learning_rate, np.float32)
    done = ((epoch - 1) * steps + np.arange(steps)) / (options.epochs * steps)
    return (options.learning_rate * 0.5 * (1 + np.cos(np.pi * done))).astype(np.float32)


def _compile_steps(model: RatingModel, optimizer: Optimizer) -> Callable[..., tf.Tensor]:
    """One compiled function that trains on many batches of a fixed size."""

    @tf.function(jit_compile=True)
    def run_steps(columns: dict[str, tf.Tensor], rates: tf.Tensor, batch_size: int) -> tf.Tensor:
        losses = tf.zeros_like(rates)
        for step in tf.range(tf.size(rates)):
            batch = {
                name: tf.slice(values, [step * batch_size], [batch_size])
                for name, values in columns.items()
            }
            with tf.GradientTape() as tape:
                loss = model.compute_loss(batch, training=True)
            gradients = tape.gradient(loss, optimizer.variables)
            optimizer.apply(gradients, rates[step])
            losses = tf.tensor_scatter_nd_update(losses, [[step]], [loss])
        return losses

    return run_steps


def _compile_prediction(model: RatingModel) -> Callable[..., tf.Tensor]:
    return tf.function(model.predict_rating, reduce_retracing=True)


def _rmse(predict: Callable[..., tf.Tensor], ratings: Columns) -> float:
    rows = row_count(ratings)
    if not rows:
        return math.nan
    squared_errors = 0.0
    for start in range(0, rows, _PREDICTION_BATCH):
        batch = {
            name: values[start : start + _PREDICTION_BATCH] for name, values in ratings.items()
        }
        predicted = predict(batch[features.USER_INDEX], batch[features.MOVIE_INDEX]).numpy()
        errors = predicted.astype(np.float64) - batch[features.RATING]
        squared_errors += float(np.sum(np.square(errors)))
    return math.sqrt(squared_errors / rows)


def _run_epoch(
    run_steps: Callable[..., tf.Tensor],
    ratings: Columns,
    rates: np.ndarray[Any, np.dtype[np.float32]],
    options: TrainingOptions,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Trains on every row once; the last batch may be smaller. Returns the loss of each step."""
    size = options.batch_size
    full_steps = row_count(ratings) // size
    full_rows = full_steps * size
    losses = []
    if full_steps:
        whole = {name: tf.constant(values[:full_rows]) for name, values in ratings.items()}
        losses.append(run_steps(whole, tf.constant(rates[:full_steps]), size).numpy())
    remainder = row_count(ratings) - full_rows
    if remainder:
        rest = {name: tf.constant(values[full_rows:]) for name, values in ratings.items()}
        losses.append(run_steps(rest, tf.constant(rates[full_steps:]), remainder).numpy())
    return np.concatenate(losses)


def _refuse_divergence(
    losses: np.ndarray[Any, np.dtype[np.float32]],
    epoch: int,
    rates: np.ndarray[Any, np.dtype[np.float32]],
    options: TrainingOptions,
) -> None:
    finite = np.isfinite(losses)
    if finite.all():
        return
    step = int(np.argmin(finite))
    raise TrainingDivergedError(
        f"the loss was {losses[step]} at epoch {epoch}, step {step + 1}, with learning rate "
        f"{rates[step]:g} ({options.optimizer}): lower training.learning_rate"
    )


def _weights(model: RatingModel) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    return [variable.numpy() for variable in model.trainable_variables]
