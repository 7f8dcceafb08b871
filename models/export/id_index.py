"""The index of raw ids in the exported model."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class IdIndex(tf.Module):
    """Finds the index of raw ids, in memory.

    The SavedModel contains the ids themselves. A lookup reads no vocabulary file, so the time of a
    request does not depend on the size of the vocabulary, and the files of a loaded model can go.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        """Creates the table.

        Args:
            ids: Known ids by index.
        """
        super().__init__()
        # A table cannot be empty. Where no id is known, the index of this one is an unknown one's.
        keys = ids or [""]
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(keys, tf.string), tf.range(len(keys), dtype=tf.int64)
            ),
            default_value=len(ids),
        )

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns int64 indices in the shape of the ids; the number of known ids for an unknown."""
        return self._table.lookup(ids)
