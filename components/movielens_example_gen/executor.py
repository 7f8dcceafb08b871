"""The executor of MovieLensExampleGen: reads, cleans, splits, joins and encodes."""

from __future__ import annotations

import json
import os
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx_bsl.coders import example_coder

from components.movielens_example_gen import cleaning, joining, reading, report, splits
from components.movielens_example_gen.options import IngestOptions
from components.movielens_example_gen.readers.edition import RawRatings
from components.step_types import Artifacts, Properties
from models import features

ROWS_PER_SHARD: Final = 100_000
"""Rows in one output file."""

_STAGED: Final = "staged"
# At the lowest level, files take a third more space than at the default one.
_FORMAT: Final = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)


class Shard(NamedTuple):
    """One output file, and the staged file of its rows."""

    staged: str
    target: str


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the splits as gzipped TFRecords of tf.Example.

    Cleaning and splitting need all rows at once (duplicates, the newest tenth), so they run on
    whole columns. Encoding and writing are most of the work and run in Beam, a whole shard at a
    time. TFX's own writer passes single records between stages, which is 5 times slower.
    """

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step.

        Raises:
            DataError: The files cannot be used, or too many rows cannot be ratings.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        options = IngestOptions.model_validate(
            json.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])["ingest"]
        )
        raw, cleaned = reading.read(
            exec_properties[standard_component_specs.INPUT_BASE_KEY], options
        )
        rows_read = raw.ratings.num_rows
        cleaning.require_few_rejected(cleaned, rows_read, options.max_rejected_fraction)
        splits.require_times(raw.ratings.column_names, options.split)
        joining.require_matching_ids(cleaned.accepted, raw)
        codes = splits.assign(cleaned.accepted, rows_read, options.split)

        artifact = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.EXAMPLES_KEY]
        )
        _describe(artifact)
        # Beside the splits: Beam's workers on other machines reach nothing but the artifact.
        staging = os.path.join(artifact.uri, _STAGED)
        shards: list[Shard] = []
        for code, split in enumerate(features.SPLITS):
            folder = artifact_utils.get_split_uri([artifact], split)
            staged = os.path.join(staging, split)
            shards += _stage(cleaned.accepted, np.flatnonzero(codes == code), raw, staged, folder)
        with self._make_beam_pipeline() as pipeline:
            _ = pipeline | beam.Create(shards) | beam.Reshuffle() | beam.Map(_write_shard)
        fileio.rmtree(staging)

        counts = np.bincount(codes, minlength=len(features.SPLITS)).tolist()
        report.write(
            artifact.uri,
            report.IngestReport(
                edition=options.edition,
                recognised=reading.recognised(options.edition, raw, cleaned),
                read=rows_read,
                rejected=cleaned.rejected.num_rows,
                rejected_by_reason=cleaned.rejected_by_reason,
                splits={name: counts[code] for code, name in enumerate(features.SPLITS)},
            ),
            cleaned,
        )


def _describe(artifact: types.Artifact) -> None:
    """Sets the properties that later steps need to read the artifact."""
    artifact.split_names = artifact_utils.encode_split_names(list(features.SPLITS))
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")


def _stage(
    accepted: pa.Table,
    rows: np.ndarray[Any, np.dtype[np.int64]],
    raw: RawRatings,
    staged: str,
    folder: str,
) -> list[Shard]:
    """Writes the rows of a split as files that Beam's workers can read one by one.

    Titles and genres are joined a shard at a time: for all ratings together they take several
    times the memory of the ratings.

    Args:
        accepted: Ratings of all splits.
        rows: Positions of the split's ratings among them.
        raw: Tables of movies and users.
        staged: Folder for these files.
        folder: Folder of the split.
    """
    fileio.makedirs(staged)
    fileio.makedirs(folder)
    count = -(-len(rows) // ROWS_PER_SHARD)
    shards = []
    for number in range(count):
        own = accepted.take(rows[number * ROWS_PER_SHARD : (number + 1) * ROWS_PER_SHARD])
        table = joining.to_list_columns(joining.join(own, raw))
        shard = Shard(
            os.path.join(staged, f"{number}.arrow"),
            os.path.join(folder, f"data_tfrecord-{number:05}-of-{count:05}.gz"),
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        with fileio.open(shard.staged, "wb") as file:
            file.write(sink.getvalue().to_pybytes())
        shards.append(shard)
    return shards


def _write_shard(shard: Shard) -> None:
    """Encodes one batch. The file appears whole, so Beam may try a shard again."""
    with fileio.open(shard.staged, "rb") as file:
        batch = pa.ipc.open_stream(file.read()).read_next_batch()
    records = example_coder.RecordBatchToExamplesEncoder().encode(batch)
    # Not in the split's folder: every file there is read as records.
    aside = f"{shard.staged}.incoming"
    with tf.io.TFRecordWriter(aside, options=_FORMAT) as writer:
        for record in records:
            writer.write(record)
    fileio.rename(aside, shard.target, overwrite=True)
