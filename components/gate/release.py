"""What a pushed model says of itself: its figures and its data when the gate blessed it.

Both travel with the model, so the next run finds it in the push folder alone. A run on this
machine and one in a cluster thus remember the same.
"""

from __future__ import annotations

import os
from typing import Final

from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.drift.moves import slim
from components.gate.record import GateRecord
from components.movielens_example_gen import rating_sample
from components.movielens_example_gen.rating_sample import RatingSample
from models import features

# Model servers ignore files of these names.
RECORD_FILE: Final = "assets.extra/gate_record.json"
STATISTICS_FILE: Final = "assets.extra/train_statistics.pb"
SAMPLE_FILE: Final = f"assets.extra/{rating_sample.SAMPLE_FILE}"


def write_record(saved_model: str, record: GateRecord) -> None:
    """Writes the record into the folder of an exported model."""
    path = os.path.join(saved_model, RECORD_FILE)
    io_utils.write_string_file(path, record.model_dump_json(indent=2))


def read_record(saved_model: str) -> GateRecord | None:
    """Returns the record of an exported model, or None if the export has none."""
    path = os.path.join(saved_model, RECORD_FILE)
    if not fileio.exists(path):
        return None
    return GateRecord.model_validate_json(io_utils.read_string_file(path))


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
    """Returns the statistics in an exported model, or None if the export has none."""
    path = os.path.join(saved_model, STATISTICS_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "rb") as file:
        return Statistics.FromString(file.read())


def write_sample(saved_model: str, sample: RatingSample) -> None:
    """Writes the sample of the ratings into the folder of an exported model."""
    io_utils.write_bytes_file(os.path.join(saved_model, SAMPLE_FILE), rating_sample.encode(sample))


def read_sample(saved_model: str) -> RatingSample | None:
    """Returns the sample in an exported model, or None if the export has none."""
    path = os.path.join(saved_model, SAMPLE_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "rb") as file:
        return rating_sample.decode(file.read())
