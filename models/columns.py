"""Ratings as columns: an array for each feature, in memory or, past a budget, in files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

import numpy as np
import tensorflow as tf

from models import features

Columns = dict[str, np.ndarray[Any, np.dtype[Any]]]

# The columns that models train on.
RATING_COLUMNS: Mapping[str, tf.io.FixedLenFeature] = {
    features.USER_INDEX: tf.io.FixedLenFeature([], tf.int64),
    features.MOVIE_INDEX: tf.io.FixedLenFeature([], tf.int64),
    features.RATING: tf.io.FixedLenFeature([], tf.float32),
}

# The same columns, and when somebody rated.
RATED_COLUMNS: Mapping[str, tf.io.FixedLenFeature] = {
    **RATING_COLUMNS,
    features.RATED_AT: tf.io.FixedLenFeature([], tf.int64),
}

_RECORDS_PER_PARSE = 16_384
_FILES_AT_ONCE = 4
_READ_BUFFER = 1 << 20
# Rows of a part, where all rows may not fit in memory.
ROWS_AT_ONCE = 1 << 20


def stream_columns(
    file_patterns: Sequence[str], spec: Mapping[str, tf.io.FixedLenFeature]
) -> Iterator[Columns]:
    """Reads gzipped TFRecords of tf.Example in parts of some thousand rows.

    Several files are read at once; equal files give equal rows in the same order.

    Args:
        file_patterns: Globs of files.
        spec: Features to keep; every record must have all of them.

    Yields:
        Columns of equal length: int32 for int64 features (half the memory), float32, or objects
        (bytes). The first part has no rows, so that files without records have columns too.

    Raises:
        tf.errors.InvalidArgumentError: A record lacks a feature.
    """
    files = sorted(path for pattern in file_patterns for path in tf.io.gfile.glob(pattern))

    # AutoGraph would only take time, here and wherever nothing depends on a tensor's value.
    @tf.autograph.experimental.do_not_convert
    def parsed(file: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(file, "GZIP", _READ_BUFFER).batch(_RECORDS_PER_PARSE)
        return records.map(lambda batch: tf.io.parse_example(batch, dict(spec)))

    batches = (
        tf.data.Dataset.from_tensor_slices(tf.constant(files, tf.string))
        .interleave(parsed, cycle_length=_FILES_AT_ONCE, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    yield {name: _empty(feature.dtype) for name, feature in spec.items()}
    for batch in batches.as_numpy_iterator():
        yield {
            name: values.astype(np.int32) if values.dtype == np.int64 else values
            for name, values in batch.items()
        }


def read_columns(
    file_patterns: Sequence[str], spec: Mapping[str, tf.io.FixedLenFeature]
) -> Columns:
    """Reads all parts of `stream_columns` into memory.

    Args:
        file_patterns: Globs of files.
        spec: Features to keep; every record must have all of them.
    """
    return _concatenate(list(stream_columns(file_patterns, spec)))


def canonical_order(columns: Columns) -> Columns:
    """Returns the rows sorted by user, then movie.

    Beam writes the rows of a split in no particular order. From this order, a training depends only
    on the data and the seed.
    """
    order = np.lexsort((columns[features.MOVIE_INDEX], columns[features.USER_INDEX]))
    return {name: values[order] for name, values in columns.items()}


def in_parts(columns: Columns) -> Iterator[Columns]:
    """Yields the rows in parts of about a million, or one empty part if there are none."""
    for start in range(0, max(1, row_count(columns)), ROWS_AT_ONCE):
        yield {name: values[start : start + ROWS_AT_ONCE] for name, values in columns.items()}


def row_count(columns: Columns) -> int:
    """Returns the number of rows, 0 if there is no column."""
    return len(next(iter(columns.values()), ()))


class ColumnStorage:
    """Keeps columns in memory up to a budget, and larger ones in temporary files.

    The files lie in the system's temporary folder without a name, so the system frees them when the
    process ends, however it ends. Arrays are read in the same way in both cases.
    """

    def __init__(self, memory_budget: int) -> None:
        """Creates a storage.

        Args:
            memory_budget: Bytes of memory for each set of columns.
        """
        self._budget = memory_budget

    def collect(self, parts: Iterable[Columns]) -> Columns:
        """Returns the rows of all parts, one after the other.

        Args:
            parts: Columns with equal names and dtypes, at least one.

        Raises:
            ValueError: There is no part, so that the names of the columns are unknown.
            OSError: The files could not be written, for instance on a full disk.
        """
        kept: list[Columns] = []
        remaining = iter(parts)
        for part in remaining:
            kept.append(part)
            if sum(map(_size, kept)) > self._budget:
                return _in_files(kept, remaining)
        return _concatenate(kept)

    def canonical_order(self, columns: Columns) -> Columns:
        """Returns the rows sorted by user, then movie, with only a part in memory at a time."""
        if _size(columns) <= self._budget:
            return canonical_order(columns)
        rows = max(1, self._budget * row_count(columns) // _size(columns))
        return self.collect(canonical_order(part) for part in _by_user(columns, rows))


def _by_user(columns: Columns, rows: int) -> Iterator[Columns]:
    """Yields parts of about `rows` rows, each with all rows of some users, in order of users."""
    counts = np.zeros(0, np.int64)
    for part in in_parts(columns):
        longer = np.bincount(part[features.USER_INDEX], minlength=len(counts))
        longer[: len(counts)] += counts
        counts = longer
    before = np.cumsum(counts) - counts
    for users in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(before // rows)) + 1):
        yield _concatenate(
            [
                {name: values[_between(part, users[0], users[-1])] for name, values in part.items()}
                for part in in_parts(columns)
            ]
        )


def _between(part: Columns, first_user: int, last_user: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    users = part[features.USER_INDEX]
    chosen: np.ndarray[Any, np.dtype[np.bool_]] = (users >= first_user) & (users <= last_user)
    return chosen


def _in_files(kept: list[Columns], remaining: Iterator[Columns]) -> Columns:
    dtypes = {name: values.dtype for name, values in kept[0].items()}
    with ExitStack() as stack:
        # They are unlinked from the start; the mapping keeps them as long as the arrays live.
        files = {name: stack.enter_context(tempfile.TemporaryFile()) for name in dtypes}
        for part in chain(kept, remaining):
            for name, values in part.items():
                files[name].write(np.ascontiguousarray(values).data)
        for file in files.values():
            file.flush()
        return {name: np.memmap(files[name], dtype, mode="r") for name, dtype in dtypes.items()}


def _concatenate(parts: Sequence[Columns]) -> Columns:
    if not parts:
        raise ValueError("no part of columns given: expected at least one")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _size(columns: Columns) -> int:
    return sum(values.nbytes for values in columns.values())


def _empty(dtype: tf.DType) -> np.ndarray[Any, np.dtype[Any]]:
    return np.empty(0, np.int32 if dtype == tf.int64 else dtype.as_numpy_dtype)
