"""Ratings of the holdout to make requests from."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils
from tfx.utils import io_utils

from models import features


@dataclass(frozen=True)
class HoldoutRow:
    """A rating, whole as a serialized tf.Example, and its ids."""

    example: bytes
    user_id: bytes
    movie_id: bytes


def first_rows(examples: list[types.Artifact], count: int) -> list[HoldoutRow]:
    """Up to so many rows of the raw examples' holdout."""
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
