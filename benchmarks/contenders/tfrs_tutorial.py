"""The ranking model of TensorFlow Recommenders' first tutorial, trained by Keras `fit`.

It has string ids, two embeddings, and dense layers on both in place of their dot product.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from benchmarks.contenders.measuring import arrays, settings
from benchmarks.contenders.tfrs_fit import fit

_HIDDEN = (256, 64)


class TutorialRanking(tfrs.Model):
    """Rates a pair of ids by dense layers on their concatenated embeddings."""

    def __init__(self, user_ids: list[str], movie_ids: list[str], dimension: int) -> None:
        """Creates the layers."""
        super().__init__()
        self.user_tower = _tower(user_ids, dimension)
        self.movie_tower = _tower(movie_ids, dimension)
        hidden = [tf.keras.layers.Dense(units, activation="relu") for units in _HIDDEN]
        self.rating = tf.keras.Sequential([*hidden, tf.keras.layers.Dense(1)])
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(),
            metrics=[tf.keras.metrics.RootMeanSquaredError()],
        )

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns predicted ratings, float32 `[B, 1]`."""
        towers = self.user_tower(inputs["user_id"]), self.movie_tower(inputs["movie_id"])
        return self.rating(tf.concat(towers, axis=1))

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the task's loss."""
        return self.task(labels=inputs["rating"], predictions=self(inputs))


def _tower(ids: list[str], dimension: int) -> tf.keras.Model:
    return tf.keras.Sequential(
        [
            tf.keras.layers.StringLookup(vocabulary=ids, mask_token=None),
            tf.keras.layers.Embedding(len(ids) + 1, dimension),
        ]
    )


def main() -> None:
    """Trains and prints the result.

    Settings: `dimension`, `batch_size`, `epochs`, and `ratings`, the number in an epoch.
    """
    chosen, given = settings(), arrays()
    rows = slice(chosen["ratings"])
    ids = {
        name: given[f"{name[:-3]}_index"][rows].astype(str).astype(object)
        for name in ("user_id", "movie_id")
    }
    user_ids, movie_ids = (np.unique(ids[name]).tolist() for name in ("user_id", "movie_id"))
    model = TutorialRanking(user_ids, movie_ids, chosen["dimension"])
    fit(model, {**ids, "rating": given["rating"][rows]}, chosen).print()


if __name__ == "__main__":
    main()
