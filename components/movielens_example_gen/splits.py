"""Assigns each rating to a split."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.movielens_example_gen.cleaning import ROW
from components.movielens_example_gen.options import FOLDS, SplitOptions
from models import features

_FOLD_ROWS = 20_000

Codes = np.ndarray[Any, np.dtype[np.int8]]
TRAIN, EVAL, HOLDOUT = range(len(features.SPLITS))


def assign(ratings: pa.Table, rows_read: int, options: SplitOptions) -> Codes:
    """Returns the split of each rating, int8 `[n]`, the split's position in `features.SPLITS`.

    Args:
        ratings: Table of n ratings with `row`, `user_id`, `movie_id` and `timestamp`.
        rows_read: Number of rows in the file, rejected ones included.
        options: Method, fractions and seed.

    Raises:
        DataError: A split would be empty, or the method is an official fold and the data does not
            have as many rows as MovieLens-100K.
    """
    if not ratings.num_rows:
        raise DataError(f"none of the {rows_read} rows can be a rating: there is nothing to split")
    if options.fold is not None:
        codes = _by_fold(ratings, rows_read, options, options.fold)
    elif options.method == "time":
        codes = _by_time(ratings[features.TIMESTAMP].to_numpy(), options)
    else:
        codes = _by_hash(ratings, options.eval_fraction, options.holdout_fraction, options.seed)
    for code, name in enumerate(features.SPLITS):
        if not np.any(codes == code):
            if options.method == "time":
                _explain_times(ratings[features.TIMESTAMP].to_numpy())
            raise DataError(
                f"the {name} split is empty: {len(codes)} ratings are too few for split.method "
                f"{options.method} with eval_fraction {options.eval_fraction} and "
                f"holdout_fraction {options.holdout_fraction}"
            )
    return codes


def require_times(has_times: bool, options: SplitOptions) -> None:
    """Refuses a split by time of ratings without times.

    Raises:
        DataError: The method is time, and the ratings have no times.
    """
    if options.method == "time" and not has_times:
        raise DataError(
            "split.method time needs timestamps, and the ratings have none: use hash, or name the "
            "column in data.columns"
        )


def _explain_times(timestamps: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    """Says so if the times are too much alike for a split.

    Raises:
        DataError: One time has more ratings than a split.
    """
    values, counts = np.unique(timestamps, return_counts=True)
    most = int(np.argmax(counts))
    if counts[most] > 1:
        raise DataError(
            f"{counts[most]} of {len(timestamps)} ratings have the same timestamp, {values[most]}, "
            "and split.method time never divides a moment: use hash"
        )


def _by_hash(ratings: pa.Table, eval_fraction: float, holdout_fraction: float, seed: int) -> Codes:
    position = hash_positions(ratings, seed)
    codes = np.full(len(position), TRAIN, np.int8)
    codes[position < holdout_fraction + eval_fraction] = EVAL
    codes[position < holdout_fraction] = HOLDOUT
    return codes


def _by_time(timestamps: np.ndarray[Any, np.dtype[np.int64]], options: SplitOptions) -> Codes:
    """Cuts between timestamps, never through one, so that no split knows another's future."""
    ordered = np.sort(timestamps)
    holdout_rows = round(options.holdout_fraction * len(ordered))
    eval_rows = round(options.eval_fraction * len(ordered))
    holdout_start = ordered[len(ordered) - holdout_rows] if holdout_rows else np.inf
    eval_start = ordered[max(0, len(ordered) - holdout_rows - eval_rows)]
    codes = np.full(len(timestamps), TRAIN, np.int8)
    codes[timestamps >= eval_start] = EVAL
    codes[timestamps >= holdout_start] = HOLDOUT
    return codes


def _by_fold(ratings: pa.Table, rows_read: int, options: SplitOptions, fold: int) -> Codes:
    """Holds out official test fold i: rows [(i - 1) · 20000, i · 20000) in the file's order."""
    if rows_read != FOLDS * _FOLD_ROWS:
        raise DataError(
            f"split.method fold:{fold} is for MovieLens-100K with its {FOLDS * _FOLD_ROWS} rows; "
            f"this data has {rows_read}: use hash or time"
        )
    codes = _by_hash(ratings, options.eval_fraction, 0.0, options.seed)
    codes[ratings[ROW].to_numpy() // _FOLD_ROWS == fold - 1] = HOLDOUT
    return codes


def hash_positions(ratings: pa.Table, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns a number in [0, 1) for each rating, float64 `[n]`.

    The number depends on the rating's user, its movie and the seed alone.

    Each distinct id is hashed with BLAKE2b, keyed by the seed. The finaliser of SplitMix64
    (Steele, Lea & Flood, 2014) combines the two 64-bit hashes, vectorised over the ratings.
    """
    users = _hash_ids(ratings[features.USER_ID], seed, b"user")
    movies = _hash_ids(ratings[features.MOVIE_ID], seed, b"movie")
    mixed = users ^ (movies * np.uint64(0x9E3779B97F4A7C15))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def _hash_ids(ids: pa.ChunkedArray, seed: int, kind: bytes) -> np.ndarray[Any, np.dtype[np.uint64]]:
    encoded = pc.dictionary_encode(ids.combine_chunks())
    key = seed.to_bytes(8, "little")
    hashes = [
        int.from_bytes(
            hashlib.blake2b(value.encode(), digest_size=8, key=key, person=kind).digest(), "little"
        )
        for value in encoded.dictionary.to_pylist()
    ]
    return np.array(hashes, np.uint64)[encoded.indices.to_numpy()]
