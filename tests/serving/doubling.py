"""The smallest model that a server can load."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf


class Doubling(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def predict(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 2}


def save_doubling(folder: Path) -> None:
    made = Doubling()
    tf.saved_model.save(made, str(folder), signatures={"predict": made.predict})
