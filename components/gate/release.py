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

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

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

# A zip archive whose damaged byte names another compression, or a password, is a RuntimeError.
_DAMAGES: Final = (
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    BadZipFile,
    zlib.error,
    DecodeError,
)


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
        raise DataError(
            f"{path}: damaged, and the model must be compared with what it says; restore it, or "
            f"move {saved_model} away: the version before is then compared"
        ) from error
