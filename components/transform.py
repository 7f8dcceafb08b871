"""ShardTransform: TFX's Transform, which reads and writes whole files at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata
from tfx.components.transform.component import Transform
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.proto import transform_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils
from tfx_bsl.coders import example_coder
from tfx_bsl.public import tfxio

from components.record_batches import read_record_batches, read_records, split_files
from components.step_types import Artifacts, Properties

_PREFIX: Final = "transformed_examples"
_INCOMING: Final = "incoming"
_TEMPORARY: Final = "temporary"
# At the lowest level, files take a third more space than at the default one.
_FORMAT: Final = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)


class Shard(NamedTuple):
    """A file of raw examples, and the file of the transformed ones.

    That file is written elsewhere and renamed: every file of a split is read as records.
    """

    source: str
    incoming: str
    target: str


class Executor(base_beam_executor.BaseBeamExecutor):
    """Analyses the data by TensorFlow Transform, then runs the graph over whole files.

    TFX's own executor passes single records between the stages of Beam, both when it reads and
    when it writes.
    """

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        transformed = output_dict[standard_component_specs.TRANSFORMED_EXAMPLES_KEY]
        graph = artifact_utils.get_single_uri(
            output_dict[standard_component_specs.TRANSFORM_GRAPH_KEY]
        )
        splits = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.SPLITS_CONFIG_KEY],
            transform_pb2.SplitsConfig(),
        )
        schema = io_utils.SchemaReader().read(
            io_utils.get_only_uri_in_dir(
                artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY])
            )
        )
        self._analyse(
            [path for split in splits.analyze for path in split_files(examples, split)],
            schema,
            partial(
                udf_utils.get_fn(exec_properties, standard_component_specs.PREPROCESSING_FN_KEY),
                custom_config=json.loads(
                    exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY]
                ),
            ),
            graph,
        )
        target = artifact_utils.get_single_instance(transformed)
        target.split_names = artifact_utils.encode_split_names(list(splits.transform))
        incoming = os.path.join(target.uri, _INCOMING)
        shards = [
            shard
            for split in splits.transform
            for shard in _shards(
                split_files(examples, split),
                os.path.join(incoming, split),
                artifact_utils.get_split_uri(transformed, split),
            )
        ]
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create(shards)
                | beam.Reshuffle()
                | beam.ParDo(_TransformShard(graph))
            )
        fileio.rmtree(incoming)

    def _analyse(
        self, files: list[str], schema: schema_pb2.Schema, preprocessing_fn: Any, graph: str
    ) -> None:
        """Writes the graph and the vocabularies that whole files give.

        Args:
            files: Files of raw examples.
            schema: Schema of the raw examples.
            preprocessing_fn: Function of TensorFlow Transform.
            graph: Folder to write.
        """
        reader = tfxio.TFExampleRecord(files, schema=schema)
        columns = tft.get_analyze_input_columns(
            preprocessing_fn, reader.TensorAdapter().OriginalTypeSpecs()
        )
        read = schema_pb2.Schema(
            feature=[feature for feature in schema.feature if feature.name in columns]
        )
        temporary = os.path.join(graph, _TEMPORARY)
        with (
            self._make_beam_pipeline() as pipeline,
            tft_beam.Context(temp_dir=temporary, use_deep_copy_optimization=True),
        ):
            batches = (
                pipeline
                | beam.Create(files)
                | beam.Reshuffle()
                | beam.FlatMap(partial(_batches, read.SerializeToString()))
            )
            adapter = reader.Project(columns).TensorAdapterConfig()
            analysed = (batches, adapter) | tft_beam.AnalyzeDataset(
                preprocessing_fn, pipeline=pipeline
            )
            _ = analysed | tft_beam.WriteTransformFn(graph)
            _ = dataset_metadata.DatasetMetadata(schema) | tft_beam.WriteMetadata(
                os.path.join(graph, tft.TFTransformOutput.RAW_METADATA_DIR), pipeline
            )
        fileio.rmtree(temporary)


class ShardTransform(Transform):
    """TFX's Transform for gzipped TFRecords of tf.Example, all splits of one artifact."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def _batches(schema: bytes, file: str) -> Iterator[pa.RecordBatch]:
    # The message itself does not reach another process whole.
    yield from read_record_batches([file], schema_pb2.Schema.FromString(schema))


def _shards(files: list[str], incoming: str, target: str) -> Iterator[Shard]:
    """Yields the files of a split, and makes the folders of those to be written."""
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
