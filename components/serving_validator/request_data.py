"""The data for requests to a candidate: holdout ratings and the movies of its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.serving_validator.candidate import UnservableModelError
from models import features
from models.export import saved_model

_MOVIE_IDS: Final = "movie_ids"


@dataclass(frozen=True)
class HoldoutRow:
    """A rating: the whole serialized tf.Example, and its ids."""

    example: bytes
    user_id: bytes
    movie_id: bytes


def holdout_rows(examples: list[types.Artifact], count: int) -> list[HoldoutRow]:
    """Returns the first rows of the holdout of raw examples, at most `count`."""
    files = [
        path
        for uri in artifact_utils.get_split_uris(examples, features.HOLDOUT)
        for path in sorted(tf.io.gfile.glob(io_utils.all_files_pattern(uri)))
    ]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").take(count)
    return [_row(record) for record in records.as_numpy_iterator()]


def _row(record: bytes) -> HoldoutRow:
    feature = tf.train.Example.FromString(record).features.feature
    user_id, movie_id = (
        feature[name].bytes_list.value[0] for name in (features.USER_ID, features.MOVIE_ID)
    )
    return HoldoutRow(record, user_id, movie_id)


def movie_ids(model: Path) -> list[bytes]:
    """Returns the ids of the movies that a SavedModel knows.

    Raises:
        UnservableModelError: The model has no table of them, or the table is empty.
    """
    try:
        ids = saved_model.read_table(str(model), _MOVIE_IDS).tolist()
    except KeyError as error:
        raise UnservableModelError(f"the model has no table {_MOVIE_IDS}") from error
    if not ids:
        raise UnservableModelError(f"{_MOVIE_IDS}: the table lists no movie")
    return ids
