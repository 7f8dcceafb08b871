"""Training state on disk, so that a killed training goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from models.columns import Columns

# One more than is needed, for when the newest was cut by whatever stopped the process.
_KEPT = 2


class TrainingCheckpoints:
    """Saves and restores variables and a small JSON, through `tf.train.CheckpointManager`."""

    def __init__(self, folder: str, variables: Sequence[tf.Variable]) -> None:
        """Binds the variables; nothing is read or written yet.

        Args:
            folder: of this training alone; made on the first save.
            variables: all that changes in training, always in the same order.
        """
        self._notes = tf.Variable("", dtype=tf.string, trainable=False)
        self._variables = list(variables)
        self._checkpoint = tf.train.Checkpoint(variables=self._variables, notes=self._notes)
        self._manager = tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=_KEPT)

    def save(self, notes: dict[str, Any]) -> None:
        """Writes a new checkpoint; the one before it stays.

        Raises:
            tf.errors.OpError: it could not be written, for instance on a full disk. Earlier
                checkpoints are as they were.
        """
        self._notes.assign(json.dumps(notes))
        self._manager.save()

    def restore(self) -> dict[str, Any] | None:
        """Restores the newest checkpoint that can be read.

        Returns:
            Its notes; None where none can be read, and the variables are as they were.
        """
        before = [variable.numpy() for variable in self._variables]
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except (tf.errors.OpError, IndexError, ValueError) as error:
                # TensorFlow's reader says IndexError of a file that ends too soon.
                logging.warning("%s cannot be read, taking the one before: %s", path, error)
                continue
            notes: dict[str, Any] = json.loads(self._notes.numpy())
            return notes
        for variable, value in zip(self._variables, before, strict=True):
            variable.assign(value)
        return None


def training_key(settings: dict[str, Any], *data: Columns) -> str:
    """A name that only the same settings on the same ratings have, for a training's folder."""
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12)
    for columns in data:
        for name, values in columns.items():
            digest.update(f"\0{name}\0{values.dtype}\0{len(values)}\0".encode())
            digest.update(values.data)
    return digest.hexdigest()
