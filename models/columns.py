"""Ratings as columns in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from models import features

Columns = dict[str, np.ndarray[Any, np.dtype[Any]]]

# What a rating model trains on.
RATING_COLUMNS: Mapping[str, tf.io.FixedLenFeature] = {
    features.USER_INDEX: tf.io.FixedLenFeature([], tf.int64),
    features.MOVIE_INDEX: tf.io.FixedLenFeature([], tf.int64),
    features.RATING: tf.io.FixedLenFeature([], tf.float32),
}

_RECORDS_PER_PARSE = 16_384


def read_columns(
    file_patterns: Sequence[str], spec: Mapping[str, tf.io.FixedLenFeature]
) -> Columns:
    """Reads gzipped TFRecords of tf.Example into one array a feature, in the files' order.

    Args:
        file_patterns: globs of files; files are read in the order of their names.
        spec: the features to keep; each must be in every record.

    Returns:
        An array of length n for every feature in the spec: int32 for int64 features (indices
        and counts; half the memory), float32, or object (bytes).

    Raises:
        tf.errors.InvalidArgumentError: a record lacks a feature.
    """
    files = sorted(path for pattern in file_patterns for path in tf.io.gfile.glob(pattern))
    dataset = (
        tf.data.TFRecordDataset(files, compression_type="GZIP")
        .batch(_RECORDS_PER_PARSE)
        .map(lambda records: tf.io.parse_example(records, dict(spec)))
        .prefetch(1)
    )
    chunks: dict[str, list[np.ndarray[Any, np.dtype[Any]]]] = {name: [] for name in spec}
    for batch in dataset.as_numpy_iterator():
        for name, values in batch.items():
            chunks[name].append(values.astype(np.int32) if values.dtype == np.int64 else values)
    return {
        name: np.concatenate(chunks[name]) if chunks[name] else _empty(feature.dtype)
        for name, feature in spec.items()
    }


def canonical_order(columns: Columns) -> Columns:
    """The same rows sorted by user, then movie.

    Beam writes the rows of a split in no particular order; training from this order makes a
    result depend on the data and the seed alone.
    """
    order = np.lexsort((columns[features.MOVIE_INDEX], columns[features.USER_INDEX]))
    return {name: values[order] for name, values in columns.items()}


def concatenate(first: Columns, second: Columns) -> Columns:
    """The rows of both, column by column."""
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def row_count(columns: Columns) -> int:
    """The number of rows; 0 when there is no column."""
    return len(next(iter(columns.values()), ()))


def _empty(dtype: tf.DType) -> np.ndarray[Any, np.dtype[Any]]:
    return np.empty(0, np.int32 if dtype == tf.int64 else dtype.as_numpy_dtype)
