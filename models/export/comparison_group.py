"""Which models an exported one can be compared with, said inside the export itself."""

from __future__ import annotations

import os
from typing import Final

import tensorflow as tf

# Beside the warm-up requests: a model server reads nothing of this name.
COMPARISON_GROUP_FILE: Final = "assets.extra/comparison_group.txt"


def write(folder: str, group: str) -> None:
    """Writes the group into an exported model's folder."""
    path = os.path.join(folder, COMPARISON_GROUP_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(group)
