"""ShardTransform: TFX's Transform, which writes transformed examples a whole file at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.transform import executor
from tfx.components.transform.component import Transform
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils
from tfx_bsl.coders import example_coder

from components.step_types import Artifacts, Properties

_PREFIX: Final = "transformed_examples"
_ROWS_AT_ONCE: Final = 1 << 14
_INCOMING: Final = "incoming"
# At the lowest level, files take a third more space than at the default one.
_FORMAT: Final = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)


class Shard(NamedTuple):
    """A file of raw examples, and the file of the transformed ones.

    That file is written elsewhere and renamed: every file of a split is read as records.
    """

    source: str
    incoming: str
    target: str


class Executor(executor.Executor):
    """Has TFX analyse the data and write the graph, then runs the graph over whole files.

    TFX's own writer passes single records between the stages of Beam, which is ten times slower.
    """

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step."""
        written = standard_component_specs.TRANSFORMED_EXAMPLES_KEY
        analysis = {key: value for key, value in output_dict.items() if key != written}
        super().Do(input_dict, analysis, exec_properties)
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        transformed = output_dict[written]
        source = artifact_utils.get_single_instance(examples)
        target = artifact_utils.get_single_instance(transformed)
        target.split_names = source.split_names
        incoming = os.path.join(target.uri, _INCOMING)
        shards = [
            shard
            for split in artifact_utils.decode_split_names(source.split_names)
            for shard in _shards(
                artifact_utils.get_split_uri(examples, split),
                os.path.join(incoming, split),
                artifact_utils.get_split_uri(transformed, split),
            )
        ]
        graph = artifact_utils.get_single_uri(
            output_dict[standard_component_specs.TRANSFORM_GRAPH_KEY]
        )
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create(shards)
                | beam.Reshuffle()
                | beam.ParDo(_TransformShard(graph))
            )
        fileio.rmtree(incoming)


class ShardTransform(Transform):
    """TFX's Transform for gzipped TFRecords of tf.Example, all splits of one artifact."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def _shards(source: str, incoming: str, target: str) -> Iterator[Shard]:
    """Yields the files of a split, and makes the folders of those to be written."""
    files = sorted(fileio.glob(io_utils.all_files_pattern(source)))
    for folder in (incoming, target):
        fileio.makedirs(folder)
    for number, file in enumerate(files):
        name = f"{_PREFIX}-{number:05}-of-{len(files):05}.gz"
        yield Shard(file, os.path.join(incoming, name), os.path.join(target, name))


class _TransformShard(beam.DoFn):
    """Writes the transformed examples of a file."""

    def __init__(self, graph: str) -> None:
        self._graph = graph

    def setup(self) -> None:
        """Loads the graph, once for all files of a worker."""
        output = tft.TFTransformOutput(self._graph)
        spec, layer = output.raw_feature_spec(), output.transform_features_layer()
        # A function keeps no variable alive that it reads, and the layer has some.
        self._layer = layer
        self._transform = tf.function(
            lambda records: layer(tf.io.parse_example(records, spec)),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
        self._encoder = example_coder.RecordBatchToExamplesEncoder()

    def process(self, shard: Shard) -> None:
        """Writes the file. It appears whole, so Beam may try a shard again."""
        batches = tf.data.TFRecordDataset(shard.source, "GZIP").batch(_ROWS_AT_ONCE)
        with tf.io.TFRecordWriter(shard.incoming, _FORMAT) as writer:
            for records in batches:
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
