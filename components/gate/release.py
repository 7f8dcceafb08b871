"""What a pushed model says of itself: its figures and its data when the gate blessed it.

Both travel with the model, so the next run finds it in the push folder alone. A run on this
machine and one in a cluster thus remember the same.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import Final, TypeVar
from zipfile import BadZipFile

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components import push_folder
from components.drift.moves import slim
from components.errors import DataError
from components.gate.record import GateRecord
from components.movielens_example_gen import rating_sample
from components.movielens_example_gen.rating_sample import RatingSample
from models import features

_Parsed = TypeVar("_Parsed")

# Model servers ignore files of these names.
RECORD_FILE: Final = "assets.extra/gate_record.json"
STATISTICS_FILE: Final = "assets.extra/train_statistics.pb"
SAMPLE_FILE: Final = f"assets.extra/{rating_sample.SAMPLE_FILE}"

_VARIABLES: Final = "variables/variables"

# A zip archive whose damaged byte names another compression, or a password, is a RuntimeError.
_DAMAGES: Final = (
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    BadZipFile,
    zlib.error,
    DecodeError,
    # Of the reader of variables.
    IndexError,
    tf.errors.OpError,
)


def check_model(saved_model: str) -> None:
    """Checks that the graph and every variable of an exported model can be read.

    Raises:
        DataError: Something is damaged, or not there.
    """
    name = push_folder.SAVED_MODEL
    # TensorFlow reads no storage but Google's by itself.
    with push_folder.local_copy(saved_model) as folder:
        try:
            (graph,) = saved_model_pb2.SavedModel.FromString(
                (folder / name).read_bytes()
            ).meta_graphs
            if graph.saver_def.restore_op_name:
                name = _VARIABLES
                variables = tf.train.load_checkpoint(str(folder / name))
                for variable in variables.get_variable_to_shape_map():
                    # It compares the checksum, too.
                    variables.get_tensor(variable)
        except _DAMAGES as error:
            raise _damaged(os.path.join(saved_model, name), saved_model) from error


def write_record(saved_model: str, record: GateRecord) -> None:
    """Writes the record into the folder of an exported model."""
    path = os.path.join(saved_model, RECORD_FILE)
    io_utils.write_string_file(path, record.model_dump_json(indent=2))


def read_record(saved_model: str) -> GateRecord | None:
    """Returns the record of an exported model, or None if the export has none.

    Raises:
        DataError: It is damaged.
    """
    return _read(saved_model, RECORD_FILE, GateRecord.model_validate_json)


def train_statistics(
    statistics: list[types.Artifact],
) -> Statistics:
    """Returns the statistics of the train split, as StatisticsGen wrote them."""
    artifact = artifact_utils.get_single_instance(statistics)
    return stats_artifact_utils.load_statistics(artifact, features.TRAIN).proto()


def write_statistics(saved_model: str, statistics: Statistics) -> None:
    """Writes what the drift check needs of the statistics into the folder of an exported model."""
    io_utils.write_bytes_file(
        os.path.join(saved_model, STATISTICS_FILE), slim(statistics).SerializeToString()
    )


def read_statistics(
    saved_model: str,
) -> Statistics | None:
    """Returns the statistics in an exported model, or None if the export has none.

    Raises:
        DataError: They are damaged.
    """
    return _read(saved_model, STATISTICS_FILE, _parse_statistics)


def write_sample(saved_model: str, sample: RatingSample) -> None:
    """Writes the sample of the ratings into the folder of an exported model."""
    io_utils.write_bytes_file(os.path.join(saved_model, SAMPLE_FILE), rating_sample.encode(sample))


def read_sample(saved_model: str) -> RatingSample | None:
    """Returns the sample in an exported model, or None if the export has none.

    Raises:
        DataError: It is damaged.
    """
    return _read(saved_model, SAMPLE_FILE, rating_sample.decode)


def _parse_statistics(content: bytes) -> Statistics:
    statistics = Statistics.FromString(content)
    if not statistics.datasets:
        raise ValueError("no statistics")
    return statistics


def _read(saved_model: str, name: str, parse: Callable[[bytes], _Parsed]) -> _Parsed | None:
    """Returns what a file of an exported model says; None if it is not there.

    A file that says nothing would leave the gate open, so it stops the run.

    Raises:
        DataError: The file is damaged.
    """
    path = os.path.join(saved_model, name)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "rb") as file:
        content = bytes(file.read())
    try:
        return parse(content)
    except _DAMAGES as error:
        raise _damaged(path, saved_model) from error


def _damaged(path: str, saved_model: str) -> DataError:
    return DataError(
        f"{path}: damaged, and the model must be compared with what it says; restore it, or "
        f"move {saved_model} away: the version before is then compared"
    )
