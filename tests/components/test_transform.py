"""The output of the step beside that of TFX's own, which writes record by record."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.transform import executor as tfx_executor
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

from components import transform
from models import features
from models.options import TransformOptions
from pipeline import SCHEMA_FILE
from pipeline.config.beam import TRANSFORM, BeamConfig

# The number of rows of each file.
FILES = {features.TRAIN: (70, 50), features.EVAL: (9,), features.HOLDOUT: (0, 11)}
GENRES = ((), (b"Drama",), (b"Drama", b"War"))


def example(row: int) -> bytes:
    values = {
        features.USER_ID: f"{row % 13}".encode(),
        features.MOVIE_ID: f"{row % 7}".encode(),
        features.RATING: row % 10 / 2 + 0.5,
        features.TIMESTAMP: 1_000_000_000 + row,
        # A few movies have no title; users are not described.
        features.MOVIE_TITLE: f"Movie {row % 7}".encode() if row % 7 else None,
    }
    made: dict[str, tf.train.Feature] = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        elif isinstance(value, int):
            made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        elif value is not None:
            made[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    genres = tf.train.BytesList(value=GENRES[row % 3])
    if genres.value:
        made[features.MOVIE_GENRES] = tf.train.Feature(bytes_list=genres)
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Examples:
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path_factory.mktemp("examples"))
    artifact.split_names = artifact_utils.encode_split_names(list(FILES))
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(artifact, "tfrecords_gzip")
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
    kind: type[tfx_executor.Executor], examples: standard_artifacts.Examples, folder: Path
) -> Path:
    """Returns the folder of the outputs: `examples`, `graph` and `cache`."""
    schema = standard_artifacts.Schema()
    schema.uri = str(folder / "schema")
    Path(schema.uri).mkdir()
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
            "preprocessing_fn": "models.preprocessing.preprocessing_fn",
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


@pytest.mark.slow
def test_the_output_is_that_of_tfx(examples: standard_artifacts.Examples, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, kind in ((ours, transform.Executor), (theirs, tfx_executor.Executor)):
        folder.mkdir()
        transformed_by(kind, examples, folder)
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
    for name in (features.USER_VOCABULARY, features.MOVIE_VOCABULARY, features.MOVIE_CATALOGUE):
        assert mine.vocabulary_by_name(name) == other.vocabulary_by_name(name)
        assert len(mine.vocabulary_by_name(name)) > 1
    assert mine.transformed_feature_spec() == other.transformed_feature_spec()
