"""A `tf.GradientTape` loop that reads and parses its TFRecords in every epoch.

Most notebooks do so: parse, shuffle in a buffer, batch, and call a compiled step for each batch.
"""

from __future__ import annotations

import os

import tensorflow as tf

from benchmarks.contenders.measuring import EpochClock, Measured, arrays, settings
from benchmarks.contenders.own_models import statistics_of
from models.columns import RATING_COLUMNS
from models.contracts import trains_by_gradients
from models.factory import build_model
from models.options import ModelOptions

_SHUFFLE_BUFFER = 100_000


def main() -> None:
    """Trains and prints the result.

    Settings: `model`, `records`, `batch_size`, `epochs`, and `ratings`, the number in an epoch.
    """
    chosen, measured, given = settings(), Measured(), arrays()
    statistics = statistics_of(given)
    model = build_model(ModelOptions.model_validate(chosen["model"]), statistics, seed=1)
    assert trains_by_gradients(model)
    optimizer = tf.keras.optimizers.Adam(0.002)
    files = tf.io.gfile.glob(os.path.join(chosen["records"], "*"))
    batches = (
        tf.data.TFRecordDataset(files, compression_type="GZIP")
        .take(chosen["ratings"])
        .map(lambda record: tf.io.parse_single_example(record, dict(RATING_COLUMNS)))
        .shuffle(_SHUFFLE_BUFFER)
        .batch(chosen["batch_size"], drop_remainder=True)
        .prefetch(1)
    )

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch, training=True)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    clock = EpochClock()
    for _ in range(chosen["epochs"]):
        for batch in batches:
            step(batch)
        clock.epoch_ended()
    clock.write(measured)
    measured.ratings = chosen["ratings"] * chosen["epochs"]
    measured.print()


if __name__ == "__main__":
    main()
