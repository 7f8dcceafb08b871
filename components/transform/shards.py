"""Runs the transform graph over whole files of examples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from tfx.dsl.io import fileio
from tfx_bsl.coders import example_coder

from components.record_batches import read_records

_PREFIX: Final = "transformed_examples"
# At the lowest level, files take a third more space than at the default one.
_FORMAT: Final = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)


class Shard(NamedTuple):
    """A file of raw examples, and the file of the transformed ones.

    That file is written elsewhere and renamed: every file of a split is read as records.
    """

    source: str
    incoming: str
    target: str


def make_shards(files: list[str], incoming: str, target: str) -> Iterator[Shard]:
    """Yields the files of a split, and makes the folders of those to be written.

    Args:
        files: Files of raw examples.
        incoming: Folder of the files that are being written.
        target: Folder of the files that are whole.
    """
    for folder in (incoming, target):
        fileio.makedirs(folder)
    for number, file in enumerate(files):
        name = f"{_PREFIX}-{number:05}-of-{len(files):05}.gz"
        yield Shard(file, os.path.join(incoming, name), os.path.join(target, name))


class ShardWriter:
    """Writes the transformed examples of files."""

    def __init__(self, graph: str) -> None:
        """Loads the graph, once for all files.

        Args:
            graph: Folder of the transform graph.
        """
        output = tft.TFTransformOutput(graph)
        spec, layer = output.raw_feature_spec(), output.transform_features_layer()
        # A function keeps no variable alive that it reads, and the layer has some.
        self._layer = layer
        self._transform = tf.function(
            lambda records: layer(tf.io.parse_example(records, spec)),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
        self._encoder = example_coder.RecordBatchToExamplesEncoder()

    def write(self, shard: Shard) -> None:
        """Writes a file. It appears whole, so a shard may be tried again."""
        with tf.io.TFRecordWriter(shard.incoming, _FORMAT) as writer:
            for records in read_records([shard.source]):
                columns = {
                    name: _lists(value.numpy()) for name, value in self._transform(records).items()
                }
                for example in self._encoder.encode(pa.RecordBatch.from_pydict(columns)):
                    writer.write(example)
        fileio.rename(shard.incoming, shard.target, overwrite=True)


def _lists(values: np.ndarray[Any, Any]) -> pa.Array:
    """Returns a list for each row of an array `[rows]` or `[rows, n]`."""
    width = values.shape[1] if values.ndim > 1 else 1
    offsets = np.arange(len(values) + 1, dtype=np.int64) * width
    return pa.LargeListArray.from_arrays(offsets, pa.array(values.reshape(-1)))
