"""The statistics of the streaming step beside those of TFX's own step, which works in Beam."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.statistics_gen import executor as tfx_executor
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import Channel, artifact_utils, standard_artifacts

from components import statistics_gen
from pipeline.config.beam import STATISTICS_GEN, BeamConfig

# Enough for several batches of both, and for values that are frequent, rare or missing.
ROWS = 40_000
LATEST = 10**9
# Beam reads and adds the rows in another order, so sums of floats differ in the last bits.
ROUNDING = 1e-12
# Quantiles are estimates, from either step: this share of the rows may lie on the other side.
EPSILON = 0.01


def example(row: int, generator: np.random.Generator) -> bytes:
    features = {
        "user_id": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[f"{row % 1_900}".encode()])
        ),
        "rating": tf.train.Feature(
            float_list=tf.train.FloatList(value=[generator.integers(1, 11) / 2])
        ),
        "timestamp": tf.train.Feature(
            int64_list=tf.train.Int64List(value=[int(generator.integers(LATEST))])
        ),
    }
    if row % 3:
        genres = [b"Drama", "Комедия".encode(), b"War"][: row % 4]
        features["movie_genres"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=genres))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(
        deterministic=True
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Examples:
    """Two files of ratings in train, and no rating in eval."""
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path_factory.mktemp("examples"))
    artifact.split_names = artifact_utils.encode_split_names(["train", "eval"])
    artifact.span = 3
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")
    generator = np.random.default_rng(7)
    for split, rows in (("train", ROWS), ("eval", 0)):
        folder = Path(artifact_utils.get_split_uri([artifact], split))
        folder.mkdir()
        for file in range(2):
            path = str(folder / f"data_tfrecord-{file:05}-of-00002.gz")
            with tf.io.TFRecordWriter(path, options="GZIP") as writer:
                for row in range(file, rows, 2):
                    writer.write(example(row, generator))
    return artifact


def written_by(
    kind: type[tfx_executor.Executor], examples: standard_artifacts.Examples, folder: Path
) -> standard_artifacts.ExampleStatistics:
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(folder / kind.__module__)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BeamConfig().arguments_for(STATISTICS_GEN, None),
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    kind(context).Do(
        {"examples": [examples]}, {"statistics": [artifact]}, {"exclude_splits": "null"}
    )
    return artifact


def statistics(
    artifact: standard_artifacts.ExampleStatistics, split: str
) -> statistics_pb2.DatasetFeatureStatisticsList:
    path = Path(artifact_utils.get_split_uri([artifact], split), tfx_executor.DEFAULT_FILE_NAME)
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())


def leaves(value: object, path: str = "") -> Mapping[str, object]:
    """Returns all numbers and texts of a message by their path."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        return {path: value}
    found: dict[str, object] = {}
    for name, part in parts:
        found |= leaves(part, f"{path}/{name}")
    return found


def figures(message: statistics_pb2.DatasetFeatureStatisticsList) -> Mapping[str, object]:
    (dataset,) = message.datasets
    # The order of features is that in which they are met.
    by_name = {"/".join(f.path.step): json_format.MessageToDict(f) for f in dataset.features}
    return leaves({"rows": dataset.num_examples, **by_name})


def test_the_statistics_are_those_of_tfx(
    examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    ours = written_by(statistics_gen.Executor, examples, tmp_path)
    theirs = written_by(tfx_executor.Executor, examples, tmp_path)
    assert (ours.split_names, ours.span) == (theirs.split_names, 3)
    expected = figures(statistics(theirs, "train"))
    found = figures(statistics(ours, "train"))
    assert expected["/rows"] == ROWS
    # Exact, though TFDV's own tables for one process hold 1,024 values.
    assert expected["/user_id/stringStats/unique"] == "1900"
    assert found.keys() == expected.keys()
    assert {p: (found[p], v) for p, v in expected.items() if found[p] != near(p, v)} == {}


def near(path: str, value: object) -> object:
    """Returns what equals any figure that may stand in the place of one of TFX's."""
    if not isinstance(value, float):
        return value
    if path.startswith("/timestamp") and path.endswith(("sampleCount", "Value", "median")):
        # Timestamps are uniform, so that a share of the rows is the same share of the range.
        whole = ROWS if path.endswith("sampleCount") else LATEST
        return pytest.approx(value, abs=EPSILON * whole)
    return pytest.approx(value, rel=ROUNDING)


def test_a_split_without_rows_has_statistics_too(
    examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    ours = written_by(statistics_gen.Executor, examples, tmp_path)
    theirs = written_by(tfx_executor.Executor, examples, tmp_path)
    assert statistics(ours, "eval") == statistics(theirs, "eval")
    assert len(statistics(ours, "eval").datasets) == 1


@pytest.mark.parametrize(
    ("beam", "executor"),
    [
        ({}, statistics_gen.Executor),
        ({"workers": 1}, statistics_gen.Executor),
        ({"workers": 2}, tfx_executor.Executor),
        ({"runner": "portable", "job_endpoint": "localhost:1"}, tfx_executor.Executor),
    ],
)
def test_only_work_in_one_process_is_streamed(
    beam: dict[str, int | str], executor: type[tfx_executor.Executor]
) -> None:
    step = statistics_gen.make_statistics_gen(
        Channel(type=standard_artifacts.Examples), BeamConfig(**beam).in_step_process
    )
    assert step.executor_spec.executor_class is executor
