"""The history of a training, epoch by epoch, kept as JSON beside the model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
from pydantic import Field

from models.records import Record
from models.training.convergence import Convergence
from models.training.metrics import RMSE, Criterion

HISTORY_FILE = "history.json"


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean training loss.
        eval_figure: Criterion on the eval split; None if nothing is evaluated.
        learning_rate: Learning rate of the last step; None for a model with updates of its own.
        seconds: Time of the training steps.
        scalars: Scalars of the draw after the epoch, by name; empty for a model that is no Markov
            chain.
    """

    epoch: int
    loss: float
    eval_figure: float | None
    learning_rate: float | None
    seconds: float
    scalars: Mapping[str, float] = field(default_factory=dict)


class TrainingHistory(Record):
    """The history of one training.

    Attributes:
        criterion: Key of the criterion of early stopping, `rmse` or `ndcg_at_10`.
        epochs: Fields of `EpochResult` for each epoch.
        best_epoch: Epoch, from 1, whose weights had the best eval figure.
        eval_figure: Best eval figure; its weights were not trained on eval.
        eval_rmse: RMSE of the same weights on eval, in stars; None for a model that predicts no
            ratings.
        train_rmse: RMSE of the exported weights on train, in stars; None likewise.
        eval_top_k_accuracy: Share of the liked movies of eval that are among the first k of the
            whole catalogue, by k, for the same weights as `eval_rmse`; empty for a model that does
            not retrieve.
        refit: Whether the exported weights were trained on train and eval together.
        warm_start: Line on the warm start, or why there was none; None without
            `training.warm_start`.
        convergence: How far each scalar of a Markov chain has converged over `epochs`, by name;
            empty for other models, and after fewer than four draws.
    """

    criterion: str
    epochs: list[dict[str, Any]]
    best_epoch: int
    eval_figure: float
    eval_rmse: float | None
    train_rmse: float | None
    eval_top_k_accuracy: dict[str, float]
    refit: bool
    warm_start: str | None = None
    convergence: dict[str, Convergence] = Field(default_factory=dict)


def best_epoch(history: Sequence[EpochResult], criterion: Criterion[Any] = RMSE) -> int:
    """Returns the first epoch, from 1, with the best eval figure.

    Raises:
        ValueError: No epoch was evaluated.
    """
    sign = -1 if criterion.higher_is_better else 1
    evaluated = [
        (sign * result.eval_figure, result.epoch)
        for result in history
        if result.eval_figure is not None
    ]
    return min(evaluated)[1]


def best_eval_figure(history: Sequence[EpochResult], criterion: Criterion[Any] = RMSE) -> float:
    """Returns the best eval figure over all epochs.

    Raises:
        ValueError: No epoch was evaluated.
    """
    figures = [result.eval_figure for result in history if result.eval_figure is not None]
    return max(figures) if criterion.higher_is_better else min(figures)


def write(folder: str, history: TrainingHistory) -> None:
    """Writes the history into an existing folder, local or in object storage."""
    with tf.io.gfile.GFile(os.path.join(folder, HISTORY_FILE), "w") as file:
        file.write(json.dumps(history.model_dump(), indent=2))


def read(folder: str) -> TrainingHistory:
    """Reads the history from a folder, local or in object storage."""
    with tf.io.gfile.GFile(os.path.join(folder, HISTORY_FILE)) as file:
        return TrainingHistory.model_validate_json(file.read())
