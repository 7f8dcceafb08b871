"""The executors of the Transform step, which read and write whole files at a time."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from functools import partial
from typing import Final

import apache_beam as beam
import pyarrow as pa
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import transform_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils
from tfx_bsl.public import tfxio

from components.record_batches import read_record_batches, split_files
from components.step_types import Artifacts, Properties
from components.transform.analysis import Analysis, PreprocessingFn, UnsupportedAnalyzerError
from components.transform.shards import Shard, ShardWriter, make_shards

_INCOMING: Final = "incoming"
_TEMPORARY: Final = "temporary"


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
            for shard in make_shards(
                split_files(examples, split),
                os.path.join(incoming, split),
                artifact_utils.get_split_uri(transformed, split),
            )
        ]
        self._transform(shards, graph)
        fileio.rmtree(incoming)

    def _transform(self, shards: list[Shard], graph: str) -> None:
        """Writes the transformed examples of files.

        Args:
            shards: Files to read and to write.
            graph: Folder of the transform graph.
        """
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create(shards)
                | beam.Reshuffle()
                | beam.ParDo(_TransformShard(graph))
            )

    def _analyse(
        self,
        files: list[str],
        schema: schema_pb2.Schema,
        preprocessing_fn: PreprocessingFn,
        graph: str,
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


class StreamingExecutor(Executor):
    """Does the same in this process, without Beam.

    A preprocessing function with analyzers that only Beam computes is analysed by Beam.
    """

    def _analyse(
        self,
        files: list[str],
        schema: schema_pb2.Schema,
        preprocessing_fn: PreprocessingFn,
        graph: str,
    ) -> None:
        temporary = os.path.join(graph, _TEMPORARY)
        try:
            analysis = Analysis(preprocessing_fn, schema, temporary)
        except UnsupportedAnalyzerError as reason:
            logging.info("Beam analyses the data: %s", reason)
            super()._analyse(files, schema, preprocessing_fn, graph)
            return
        analysis.add(files)
        analysis.write(graph)
        fileio.rmtree(temporary)

    def _transform(self, shards: list[Shard], graph: str) -> None:
        writer = ShardWriter(graph)
        for shard in shards:
            writer.write(shard)


def _batches(schema: bytes, file: str) -> Iterator[pa.RecordBatch]:
    # The message itself does not reach another process whole.
    yield from read_record_batches([file], schema_pb2.Schema.FromString(schema))


class _TransformShard(beam.DoFn):
    """Writes the transformed examples of a file."""

    def __init__(self, graph: str) -> None:
        self._graph = graph

    def setup(self) -> None:
        """Loads the graph, once for all files of a worker."""
        self._writer = ShardWriter(self._graph)

    def process(self, shard: Shard) -> None:
        """Writes the file. Beam may try it again."""
        self._writer.write(shard)
