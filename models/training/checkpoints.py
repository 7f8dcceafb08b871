"""Checkpoints: training state on disk, from which an interrupted training resumes."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from models.columns import Columns

# The second is the fallback where an interruption damaged the newest.
_KEPT = 2


class TrainingCheckpoints:
    """Saves and restores variables and a small JSON with `tf.train.CheckpointManager`."""

    def __init__(self, folder: str, variables: Sequence[tf.Variable]) -> None:
        """Binds the variables without reading or writing.

        Args:
            folder: Folder of this training alone; the first save creates it.
            variables: All variables that training changes, always in the same order.
        """
        self._notes = tf.Variable("", dtype=tf.string, trainable=False)
        self._variables = list(variables)
        self._checkpoint = tf.train.Checkpoint(variables=self._variables, notes=self._notes)
        self._manager = tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=_KEPT)

    def save(self, notes: dict[str, Any]) -> None:
        """Writes a new checkpoint and keeps the previous one.

        Args:
            notes: Values to save beside the variables; JSON must be able to hold them.

        Raises:
            tf.errors.OpError: The checkpoint could not be written, for instance on a full disk.
                Earlier checkpoints are unchanged.
        """
        self._notes.assign(json.dumps(notes))
        self._manager.save()

    def restore(self) -> dict[str, Any] | None:
        """Restores the newest readable checkpoint.

        Returns:
            Its notes, or None if no checkpoint is readable; the variables then keep their values.
        """
        before = [variable.numpy() for variable in self._variables]
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except (tf.errors.OpError, IndexError, ValueError) as error:
                # TensorFlow's reader raises IndexError for a truncated file.
                logging.warning(
                    "checkpoint %s is not readable, trying the previous one: %s", path, error
                )
                continue
            notes: dict[str, Any] = json.loads(self._notes.numpy())
            return notes
        for variable, value in zip(self._variables, before, strict=True):
            variable.assign(value)
        return None


def training_key(settings: dict[str, Any], *data: Columns) -> str:
    """Returns a digest of settings and ratings that names a training's folder.

    Args:
        settings: All settings on which the weights depend; JSON must be able to hold them.
        *data: Columns of the ratings.
    """
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12)
    for columns in data:
        for name, values in columns.items():
            digest.update(f"\0{name}\0{values.dtype}\0{len(values)}\0".encode())
            digest.update(values.data)
    return digest.hexdigest()
