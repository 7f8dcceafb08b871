"""StreamingStatisticsGen: computes the statistics of each split in one process, without Beam."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

# TFDV 1.16 cannot be imported before TFX, which stands in for a module that it misses.
import tfx  # noqa: F401

# isort: split
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_data_validation.statistics.generators import (
    basic_stats_generator,
    stats_generator,
    top_k_uniques_sketch_stats_generator,
)
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components.statistics_gen import executor
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils, standard_component_specs

from components.record_batches import read_record_batches, split_files
from components.step_types import Artifacts, Properties

EXACT_VALUES: Final = 1 << 18
"""Different values of a text feature whose counts are exact; of more values, they are estimates."""


class Executor(executor.Executor):
    """Adds up whole batches of rows in TFDV's accumulators, whose size does not grow with the rows.

    The statistics are those of TFX's StatisticsGen: rows are added in another order, so a mean or a
    standard deviation may differ in its last bits, and a quantile within TFDV's own tolerance.
    """

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        written = output_dict[standard_component_specs.STATISTICS_KEY]
        source = artifact_utils.get_single_instance(examples)
        target = artifact_utils.get_single_instance(written)
        target.split_names, target.span = source.split_names, source.span
        for split in artifact_utils.decode_split_names(source.split_names):
            path = os.path.join(
                artifact_utils.get_split_uri(written, split), executor.DEFAULT_FILE_NAME
            )
            tf.io.gfile.makedirs(os.path.dirname(path))
            with tf.io.gfile.GFile(path, "wb") as file:
                file.write(
                    compute(split_files(examples, split)).SerializeToString(deterministic=True)
                )


class StreamingStatisticsGen(StatisticsGen):
    """TFX's StatisticsGen with default options, for a step that does its work in its own process.

    There, most of Beam's time goes into its own stages, not into the data.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def make_statistics_gen(examples: types.BaseChannel, in_one_process: bool) -> StatisticsGen:
    """Returns the step that describes the ratings.

    Args:
        examples: Splits to describe.
        in_one_process: Whether Beam would do all of its work in the step's own process.
    """
    if in_one_process:
        return StreamingStatisticsGen(examples=examples)
    # Exact counts of values would send every value of every row from worker to worker.
    options = tfdv.StatsOptions(use_sketch_based_topk_uniques=True)
    return StatisticsGen(examples=examples, stats_options=options)


def compute(files: Sequence[str]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Returns TFDV's default statistics of all features.

    Args:
        files: Gzipped TFRecords of tf.Example.
    """
    generators = _generators()
    accumulators = [generator.create_accumulator() for generator in generators]
    for batch in read_record_batches(files):
        accumulators = [
            generator.add_input(accumulator, batch)
            for generator, accumulator in zip(generators, accumulators, strict=True)
        ]
    return stats_impl.extract_statistics_output(accumulators, generators)


def _generators() -> list[stats_generator.CombinerStatsGenerator]:
    """Returns TFDV's default generators, with tables of counts that are exact for longer."""
    options = tfdv.StatsOptions()
    return [
        basic_stats_generator.BasicStatsGenerator(
            num_values_histogram_buckets=options.num_values_histogram_buckets,
            num_histogram_buckets=options.num_histogram_buckets,
            num_quantiles_histogram_buckets=options.num_quantiles_histogram_buckets,
            epsilon=options.epsilon,
        ),
        top_k_uniques_sketch_stats_generator.TopKUniquesSketchStatsGenerator(
            num_top_values=options.num_top_values,
            num_rank_histogram_buckets=options.num_rank_histogram_buckets,
            frequency_threshold=options.frequency_threshold,
            num_misragries_buckets=EXACT_VALUES,
            num_kmv_buckets=EXACT_VALUES,
        ),
    ]
