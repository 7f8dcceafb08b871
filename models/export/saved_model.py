"""Writes the exported model: its SavedModel, and the comparison group inside it."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models.errors import TrainingDivergedError
from models.export.signatures import Recommender

# Beside the warm-up requests; model servers ignore a file of this name.
COMPARISON_GROUP_FILE: Final = "assets.extra/comparison_group.txt"
# What the next training may start from; likewise.
TRAINING_WEIGHTS_FILE: Final = "assets.extra/training_weights.npz"


def save(recommender: Recommender, folder: str) -> None:
    """Writes the SavedModel with all signatures.

    Args:
        recommender: Model to write.
        folder: Folder of the SavedModel.

    Raises:
        TrainingDivergedError: A number in a table is not finite. An infinite rating would be
            clipped to the range of ratings and look like any other.
    """
    _check_finite(recommender)
    tf.saved_model.save(recommender, folder, signatures=recommender.signatures)


def write_comparison_group(folder: str, group: str) -> None:
    """Writes the comparison group into a SavedModel.

    Args:
        folder: Folder of the SavedModel.
        group: Text that is equal for models that can be compared with each other.
    """
    path = os.path.join(folder, COMPARISON_GROUP_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(group)


def read_table(folder: str, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Reads a table of an exported model without loading the model.

    Args:
        folder: Folder of the SavedModel.
        name: Name of the table, such as `movie_ids`.

    Raises:
        KeyError: The model has no such table.
    """
    reader = tf.train.load_checkpoint(os.path.join(folder, "variables", "variables"))
    key = f"{name}/.ATTRIBUTES/VARIABLE_VALUE"
    if not reader.has_tensor(key):
        raise KeyError(name)
    return np.asarray(reader.get_tensor(key))


def _check_finite(recommender: Recommender) -> None:
    for module in (recommender, *recommender.submodules):
        for name, table in vars(module).items():
            if not isinstance(table, tf.Variable) or not table.dtype.is_floating:
                continue
            wrong = np.count_nonzero(~np.isfinite(table.numpy()))
            if wrong:
                raise TrainingDivergedError(
                    f"{name}: {wrong:,} of {table.shape.num_elements():,} numbers are not finite; "
                    "the model is not exported"
                )
