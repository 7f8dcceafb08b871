"""The step without Beam beside the step in Beam, and that one beside TFX's own."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.transform import executor as tfx_executor
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import Channel, artifact_utils, standard_artifacts

from components.transform.component import make_transform
from components.transform.executor import Executor, StreamingExecutor
from models import features
from models.options import TransformOptions
from pipeline import SCHEMA_FILE
from pipeline.config.beam import TRANSFORM, BeamConfig
from pipeline.config.tree import load_config
from pipeline.datasets import locate
from pipeline.ingest_options import ingest_options
from tests.components import example_gen_steps

# The number of rows of each file.
FILES = {features.TRAIN: (70, 50), features.EVAL: (9,), features.HOLDOUT: (0, 11)}
TRAIN_ROWS = sum(FILES[features.TRAIN])
GENRES = ((), (b"Drama",), (b"Drama", b"War"))
VOCABULARIES = (
    features.USER_VOCABULARY,
    features.MOVIE_VOCABULARY,
    features.GENRE_VOCABULARY,
    features.MOVIE_CATALOGUE,
    features.USER_SIDE_FEATURES,
)


def example(row: int) -> bytes:
    # Train lacks a few users and movies of the other splits, and one of their genres.
    unknown = row > TRAIN_ROWS and row % 4 == 0
    user, movie = (row, row) if unknown else (row % 13, row % 7)
    values: dict[str, Any] = {
        features.USER_ID: [f"{user}".encode()],
        features.MOVIE_ID: [f"{movie}".encode()],
        features.RATING: [row % 10 / 2 + 0.5],
        features.TIMESTAMP: [1_000_000_000 + row],
        # A few movies have no title, most users are not described.
        features.MOVIE_TITLE: [f"Movie {movie}".encode()] if movie else [],
        features.MOVIE_GENRES: [b"Western"] if unknown else GENRES[row % 3],
        features.USER_AGE: [user * 5] if user % 3 == 0 else [],
        features.USER_GENDER: [b"F"] if user % 4 == 0 else [],
    }
    made: dict[str, tf.train.Feature] = {}
    for name, value in values.items():
        if not value:
            continue
        if isinstance(value[0], bytes):
            made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
        elif isinstance(value[0], int):
            made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        else:
            made[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def artifact_of(folder: Path) -> standard_artifacts.Examples:
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(FILES))
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")
    return artifact


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Examples:
    artifact = artifact_of(tmp_path_factory.mktemp("examples"))
    rows = itertools.count()
    for split, counts in FILES.items():
        folder = Path(artifact_utils.get_split_uri([artifact], split))
        folder.mkdir()
        for number, count in enumerate(counts):
            with tf.io.TFRecordWriter(str(folder / f"data-{number}.gz"), "GZIP") as writer:
                for row in itertools.islice(rows, count):
                    writer.write(example(row))
    return artifact


def transformed_by(
    kind: type[base_beam_executor.BaseBeamExecutor],
    examples: standard_artifacts.Examples,
    folder: Path,
    preprocessing_fn: str = "models.preprocessing.preprocessing_fn",
) -> Path:
    """Returns the folder of the outputs: `transformed_examples` and `transform_graph`."""
    schema = standard_artifacts.Schema()
    schema.uri = str(folder / "schema")
    Path(schema.uri).mkdir(parents=True)
    (Path(schema.uri) / "schema.pbtxt").write_bytes(SCHEMA_FILE.read_bytes())
    outputs = {
        "transform_graph": standard_artifacts.TransformGraph(),
        "transformed_examples": standard_artifacts.Examples(),
        "updated_analyzer_cache": standard_artifacts.TransformCache(),
    }
    for name, artifact in outputs.items():
        artifact.uri = str(folder / name)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BeamConfig().arguments_for(TRANSFORM, None),
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    options = TransformOptions(min_ratings_per_user=2).model_dump(mode="json")
    kind(context).Do(
        {"examples": [examples], "schema": [schema]},
        {name: [artifact] for name, artifact in outputs.items()},
        {
            "preprocessing_fn": preprocessing_fn,
            "splits_config": json.dumps({"analyze": [features.TRAIN], "transform": list(FILES)}),
            "disable_statistics": 1,
            "custom_config": json.dumps({"transform": options}),
        },
    )
    assert outputs["transformed_examples"].split_names == examples.split_names
    return folder


def records(folder: Path, split: str) -> list[bytes]:
    """Returns the records of a split, sorted, with their features in one order."""
    files = map(str, sorted((folder / "transformed_examples" / f"Split-{split}").iterdir()))
    return sorted(
        tf.train.Example.FromString(record).SerializeToString(deterministic=True)
        for record in tf.data.TFRecordDataset(list(files), "GZIP").as_numpy_iterator()
    )


def files_of_graph(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of the files of the graph by path, as far as two runs write the same."""
    graph = folder / "transform_graph"
    files = {str(path.relative_to(graph)): path for path in graph.rglob("*") if path.is_file()}
    # TensorFlow numbers functions on, and names temporary files at random.
    return {
        name: b"" if path.suffix == ".pb" else path.read_bytes() for name, path in files.items()
    }


def assert_streamed_is_that_of_beam(
    examples: standard_artifacts.Examples, folder: Path
) -> tft.TFTransformOutput:
    """Runs the step both ways, compares all of its files, and returns the streamed output."""
    streamed = transformed_by(StreamingExecutor, examples, folder / "streamed")
    in_beam = transformed_by(Executor, examples, folder / "in-beam")
    assert files_of_graph(streamed) == files_of_graph(in_beam)
    for split in FILES:
        # The records come from the two graphs, of known, unknown and missing values.
        assert records(streamed, split) == records(in_beam, split)
        names = [
            sorted(
                path.name for path in (one / "transformed_examples" / f"Split-{split}").iterdir()
            )
            for one in (streamed, in_beam)
        ]
        assert names[0] == names[1]
    output, other = (
        tft.TFTransformOutput(str(one / "transform_graph")) for one in (streamed, in_beam)
    )
    assert output.transformed_feature_spec() == other.transformed_feature_spec()
    assert output.raw_metadata.schema == other.raw_metadata.schema
    for name in VOCABULARIES:
        assert output.vocabulary_size_by_name(name) == other.vocabulary_size_by_name(name) > 1
        assert output.vocabulary_by_name(name) == other.vocabulary_by_name(name)
    return output


@pytest.mark.slow
def test_the_streamed_output_is_that_of_beam(
    examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    output = assert_streamed_is_that_of_beam(examples, tmp_path)
    # Rows 0 to 119 are of 13 users and 7 movies in turn: descending by count, then by id.
    users = Counter(row % 13 for row in range(TRAIN_ROWS))
    assert output.vocabulary_by_name(features.USER_VOCABULARY) == [
        f"{users[int(user)]} {user}".encode()
        for user in sorted(map(str, users), key=lambda user: (users[int(user)], user), reverse=True)
    ]


@pytest.mark.slow
def test_the_streamed_output_is_that_of_beam_on_the_real_data(tmp_path: Path) -> None:
    ratings = tmp_path / "ratings"
    config = load_config(None, [])
    example_gen_steps.run_step(locate(config.data), ingest_options(config), ratings)
    output = assert_streamed_is_that_of_beam(artifact_of(ratings), tmp_path)
    assert len(output.vocabulary_by_name(features.USER_VOCABULARY)) == 943


@pytest.mark.slow
def test_the_output_is_that_of_tfx(examples: standard_artifacts.Examples, tmp_path: Path) -> None:
    ours = transformed_by(Executor, examples, tmp_path / "ours")
    theirs = transformed_by(tfx_executor.Executor, examples, tmp_path / "theirs")
    for split, counts in FILES.items():
        expected = records(theirs, split)
        assert len(expected) == sum(counts)
        assert records(ours, split) == expected
        written = (ours / "transformed_examples" / f"Split-{split}").iterdir()
        assert sorted(path.name for path in written) == [
            f"transformed_examples-{number:05}-of-{len(counts):05}.gz"
            for number in range(len(counts))
        ]
    # Every file below the artifact belongs to a split.
    assert len(list((ours / "transformed_examples").iterdir())) == len(FILES)
    mine, other = (tft.TFTransformOutput(str(f / "transform_graph")) for f in (ours, theirs))
    for name in VOCABULARIES:
        assert mine.vocabulary_by_name(name) == other.vocabulary_by_name(name)
        assert len(mine.vocabulary_by_name(name)) > 1
    assert mine.transformed_feature_spec() == other.transformed_feature_spec()


def by_sum_of_ratings(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    tft.vocabulary(
        inputs[features.USER_ID], weights=inputs[features.RATING], vocab_filename="by_sum"
    )
    return {features.RATING: inputs[features.RATING]}


@pytest.mark.slow
def test_beam_analyses_what_only_beam_can(
    examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    name = f"{by_sum_of_ratings.__module__}.{by_sum_of_ratings.__name__}"
    transformed = transformed_by(StreamingExecutor, examples, tmp_path / "out", name)
    sums: dict[str, float] = defaultdict(float)
    for row in range(TRAIN_ROWS):
        sums[f"{row % 13}"] += row % 10 / 2 + 0.5
    output = tft.TFTransformOutput(str(transformed / "transform_graph"))
    assert output.vocabulary_by_name("by_sum") == [
        user.encode() for user in sorted(sums, key=lambda user: (sums[user], user), reverse=True)
    ]
    assert len(records(transformed, features.TRAIN)) == TRAIN_ROWS


@pytest.mark.parametrize(
    ("beam", "executor"),
    [
        ({}, StreamingExecutor),
        ({"workers": 1}, StreamingExecutor),
        ({"workers": 2}, Executor),
        ({"runner": "portable", "job_endpoint": "localhost:1"}, Executor),
    ],
)
def test_only_work_in_one_process_is_streamed(
    beam: dict[str, int | str], executor: type[Executor]
) -> None:
    step = make_transform(
        BeamConfig(**beam).in_step_process,
        examples=Channel(type=standard_artifacts.Examples),
        schema=Channel(type=standard_artifacts.Schema),
        preprocessing_fn="models.preprocessing.preprocessing_fn",
    )
    assert step.executor_spec.executor_class is executor
