"""The executor of MovieLensExampleGen: reads, cleans, splits, joins and encodes."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx import types
from tfx.components.example_gen import utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx_bsl.coders import example_coder

from components.errors import DataError
from components.movielens_example_gen import (
    cleaning,
    golden_set,
    joining,
    rating_sample,
    reading,
    report,
    spans,
    splits,
)
from components.movielens_example_gen.options import IngestOptions
from components.movielens_example_gen.spans import Source
from components.step_types import Artifacts, Properties
from models import features

ROWS_PER_SHARD: Final = 100_000
"""Rows in one output file."""

_STAGED: Final = "staged"
# At the lowest level, files take a third more space than at the default one.
_FORMAT: Final = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)

_Positions = np.ndarray[Any, np.dtype[np.int64]]


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
            DataError: The files cannot be used, they changed since their fingerprint was taken, or
                too many rows cannot be ratings.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        options = IngestOptions.model_validate(
            json.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])["ingest"]
        )
        source = spans.find(
            exec_properties[standard_component_specs.INPUT_BASE_KEY],
            options.edition,
            options.window,
        )
        fingerprint = exec_properties.get(utils.FINGERPRINT_PROPERTY_NAME)
        fingerprint = fingerprint or golden_set.fingerprint(
            source.fingerprint(), options.golden_set
        )
        raw, cleaned = reading.read_source(source, options)
        rows_read = raw.ratings.num_rows
        cleaning.require_few_rejected(cleaned, rows_read, options.max_rejected_fraction)
        splits.require_times(cleaned.has_times, options.split)
        # The text of all rows takes more memory than the ratings themselves. A slice would keep it.
        raw = dataclasses.replace(raw, ratings=raw.ratings.schema.empty_table())
        joining.require_matching_ids(cleaned.accepted, raw)
        codes = splits.assign(cleaned.accepted, rows_read, options.split)
        golden = None
        if options.golden_set is not None:
            golden = golden_set.read(options.golden_set, options)
            golden_set.require_comparable(cleaned.accepted, raw.movies, golden)
            codes = golden_set.withhold(codes, cleaned.accepted, golden)
        _require_unchanged(source, options.golden_set, fingerprint)

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
            positions = np.flatnonzero(codes == code)
            own = (cleaned.accepted.take(part) for part in _parts(positions))
            shards += _stage((joining.join(part, raw) for part in own), staged, folder)
        if golden is not None:
            staged, folder = os.path.join(staging, features.GOLDEN), golden_set.folder(artifact.uri)
            own = (golden.take(part) for part in _parts(np.arange(golden.num_rows)))
            shards += _stage(own, staged, folder)
        with self._make_beam_pipeline() as pipeline:
            _ = pipeline | beam.Create(shards) | beam.Reshuffle() | beam.Map(_write_shard)
        fileio.rmtree(staging)

        numbers = [span.number for span in source.spans if span.name]
        rating_sample.write(artifact.uri, rating_sample.draw(cleaned.accepted, raw, numbers))
        report.write(
            artifact.uri,
            report.IngestReport(
                edition=source.edition,
                recognised=reading.recognised(source.edition, raw, cleaned),
                fingerprint=fingerprint,
                trained_until=_newest_trained(cleaned.accepted, codes),
                spans=report.by_span(source.spans, raw, cleaned.accepted),
                read=rows_read,
                rejected=cleaned.rejected.num_rows,
                rejected_by_reason=cleaned.rejected_by_reason,
                splits={
                    name: int(np.count_nonzero(codes == code))
                    for code, name in enumerate(features.SPLITS)
                },
                withheld=int(np.count_nonzero(codes == golden_set.WITHHELD)),
                golden=0 if golden is None else golden.num_rows,
            ),
            cleaned,
        )


def _newest_trained(ratings: pa.Table, codes: splits.Codes) -> int:
    times = ratings[features.TIMESTAMP].to_numpy()
    return int(times[np.isin(codes, (splits.TRAIN, splits.EVAL))].max())


def _require_unchanged(source: Source, golden: str | None, fingerprint: str) -> None:
    """Refuses files that are not those whose fingerprint is in the cache key.

    Raises:
        DataError: They are others.
    """
    if golden_set.fingerprint(source.fingerprint(), golden) != fingerprint:
        raise DataError(
            f"{source.spans[-1].path}: the files changed while they were read; run again when "
            "nothing writes there, or write new files aside and rename them"
        )


def _describe(artifact: types.Artifact) -> None:
    """Sets the properties that later steps need to read the artifact."""
    artifact.split_names = artifact_utils.encode_split_names(list(features.SPLITS))
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")


def _parts(rows: _Positions) -> list[_Positions]:
    """Returns the positions of rows shard by shard.

    Titles and genres are joined to a shard at a time: those of all ratings together take several
    times the memory of the ratings.
    """
    return np.split(rows, range(ROWS_PER_SHARD, len(rows), ROWS_PER_SHARD)) if len(rows) else []


def _stage(tables: Iterable[pa.Table], staged: str, folder: str) -> list[Shard]:
    """Writes the rows of a split as files that Beam's workers can read one by one.

    Args:
        tables: Joined ratings of each shard.
        staged: Folder for these files.
        folder: Folder of the split.
    """
    fileio.makedirs(staged)
    fileio.makedirs(folder)
    written = []
    for number, table in enumerate(tables):
        rows = joining.to_list_columns(table)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        written.append(os.path.join(staged, f"{number}.arrow"))
        with fileio.open(written[-1], "wb") as file:
            file.write(sink.getvalue().to_pybytes())
    return [
        Shard(path, os.path.join(folder, f"data_tfrecord-{number:05}-of-{len(written):05}.gz"))
        for number, path in enumerate(written)
    ]


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
