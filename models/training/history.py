"""What happened in training, as a small JSON beside the model."""

from __future__ import annotations

import json
import os
from typing import Any

import tensorflow as tf

from models.records import Record

HISTORY_FILE = "history.json"


class TrainingHistory(Record):
    """The epochs of one training.

    Attributes:
        criterion: the key of what early stopping went by, `rmse` or `ndcg_at_10`.
        epochs: for each epoch `epoch`, `loss`, `eval_figure` (the criterion), `learning_rate`,
            `seconds`.
        best_epoch: the epoch (from 1) whose weights had the best eval figure.
        eval_figure: the best one, of weights that were not trained on eval.
        eval_rmse: of the same weights, in stars; None for a model that predicts no ratings.
        train_rmse: of the exported weights, on the ratings of train that they were trained on.
        eval_top_k_accuracy: by k, how often a liked movie of eval is among the first k of the
            whole catalogue, of weights that were not trained on eval; of retrieval models.
        refit: whether the exported weights were then trained on train and eval together.
    """

    criterion: str
    epochs: list[dict[str, Any]]
    best_epoch: int
    eval_figure: float
    eval_rmse: float | None
    train_rmse: float | None
    eval_top_k_accuracy: dict[str, float]
    refit: bool


def write(folder: str, history: TrainingHistory) -> None:
    """Writes the JSON into a folder that exists, here or in a cloud's storage."""
    with tf.io.gfile.GFile(os.path.join(folder, HISTORY_FILE), "w") as file:
        file.write(json.dumps(history.model_dump(), indent=2))


def read(folder: str) -> TrainingHistory:
    """The history of a model-run artifact."""
    with open(os.path.join(folder, HISTORY_FILE), encoding="utf-8") as file:
        return TrainingHistory.model_validate_json(file.read())
