"""What happened in training, as a small JSON beside the model."""

from __future__ import annotations

import json
import os
from typing import Any

from pydantic import BaseModel, ConfigDict

HISTORY_FILE = "history.json"


class TrainingHistory(BaseModel):
    """The epochs of one training.

    Attributes:
        epochs: for each epoch `epoch`, `loss`, `eval_rmse`, `learning_rate`, `seconds`.
        best_epoch: the epoch (from 1) whose weights had the lowest eval RMSE.
        train_rmse: of the exported weights, on the ratings of train that they were trained on.
        eval_rmse: the lowest eval RMSE, of weights that were not trained on eval.
        refit: whether the exported weights were then trained on train and eval together.
    """

    model_config = ConfigDict(frozen=True)

    epochs: list[dict[str, Any]]
    best_epoch: int
    train_rmse: float
    eval_rmse: float
    refit: bool


def write(folder: str, history: TrainingHistory) -> None:
    """Writes the JSON into a folder that exists."""
    with open(os.path.join(folder, HISTORY_FILE), "w", encoding="utf-8") as file:
        json.dump(history.model_dump(), file, indent=2)


def read(folder: str) -> TrainingHistory:
    """The history of a model-run artifact."""
    with open(os.path.join(folder, HISTORY_FILE), encoding="utf-8") as file:
        return TrainingHistory.model_validate_json(file.read())
