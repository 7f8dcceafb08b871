"""The same factorisation as a TensorFlow Recommenders model, trained by Keras `fit`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from benchmarks.contenders.measuring import Arrays, EpochClock, Measured, arrays, settings

_SHUFFLE_BUFFER = 100_000


class Factorization(tfrs.Model):
    """Embeddings, biases and TFRS's ranking task, combined as in TFRS's tutorials."""

    def __init__(self, users: int, movies: int, dimension: int) -> None:
        """Creates the layers."""
        super().__init__()
        self.user_embedding = tf.keras.layers.Embedding(users, dimension)
        self.movie_embedding = tf.keras.layers.Embedding(movies, dimension)
        self.user_bias = tf.keras.layers.Embedding(users, 1)
        self.movie_bias = tf.keras.layers.Embedding(movies, 1)
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(),
            metrics=[tf.keras.metrics.RootMeanSquaredError()],
        )

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns predicted ratings, float32 `[B, 1]`."""
        users, movies = inputs["user_index"], inputs["movie_index"]
        dot = tf.reduce_sum(
            self.user_embedding(users) * self.movie_embedding(movies), axis=1, keepdims=True
        )
        return dot + self.user_bias(users) + self.movie_bias(movies)

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the task's loss."""
        return self.task(labels=inputs["rating"][:, tf.newaxis], predictions=self(inputs))


def fit(model: tfrs.Model, given: Arrays, chosen: dict[str, Any]) -> Measured:
    """Trains a model as the tutorials do, on batches that are shuffled and cached before.

    Args:
        model: Model to train.
        given: Columns of the training ratings.
        chosen: Settings of `main`.
    """
    measured = Measured()
    model.compile(optimizer=tf.keras.optimizers.Adagrad(0.1))
    batches = (
        tf.data.Dataset.from_tensor_slices(given)
        .take(chosen["ratings"])
        .shuffle(_SHUFFLE_BUFFER)
        .batch(chosen["batch_size"])
        .cache()
    )
    # `fit` stops before it sees the end of the data, which can leave the cache incomplete.
    with measured.timed("shuffle"):
        for _ in batches:
            pass
    clock = EpochClock()
    ended = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.epoch_ended())
    model.fit(batches, epochs=chosen["epochs"], verbose=0, callbacks=[ended])
    clock.write(measured)
    measured.ratings = chosen["ratings"] * chosen["epochs"]
    return measured


def main() -> None:
    """Trains and prints the result.

    Settings: `dimension`, `batch_size`, `epochs`, and `ratings`, the number in an epoch.
    """
    chosen, archive = settings(), arrays()
    given = {name: archive[name] for name in ("user_index", "movie_index", "rating")}
    users, movies = (int(given[name].max()) + 1 for name in ("user_index", "movie_index"))
    fit(Factorization(users, movies, chosen["dimension"]), given, chosen).print()


if __name__ == "__main__":
    main()
