"""What tests read of a pushed model, and of the ratings that it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from models.export import saved_model
from pipeline.summary import Summary


def pushed(summary: Summary) -> tf.types.experimental.ConcreteFunction:
    return tf.saved_model.load(summary.pushed_model)


def vocabulary(summary: Summary, name: str) -> list[str]:
    """The ids of a vocabulary, in the order of the model's tables."""
    ids = saved_model.read_table(str(summary.pushed_model), name)
    return [id_.decode() for id_ in ids]


def vectors(model: Path) -> dict[str, np.ndarray]:
    """The vectors in the checkpoint of an exported model, by name."""
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "_vectors/" in name
    }


def example(user: str, movie: str) -> bytes:
    """A serialized tf.Example with the raw ids."""
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        for name, value in (("user_id", user), ("movie_id", movie))
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def split_ratings(summary: Summary, split: str) -> list[tuple[str, str, float]]:
    """The records of a split, parsed one by one."""
    files = sorted(str(path) for path in Path(summary.examples, f"Split-{split}").iterdir())
    found = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP"):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        found.append(
            (
                feature["user_id"].bytes_list.value[0].decode(),
                feature["movie_id"].bytes_list.value[0].decode(),
                feature["rating"].float_list.value[0],
            )
        )
    return found
