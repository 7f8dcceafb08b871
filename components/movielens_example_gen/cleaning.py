"""Separates the rows that can be ratings from the others, and says why those cannot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from models import features

ROW = "row"
REASON = "reason"

MISSING_ID = "missing id"
ID_HAS_SPACE = "id with white space"
RATING_NOT_A_NUMBER = "rating not a number"
RATING_OUT_OF_RANGE = "rating out of range"
TIMESTAMP_NOT_A_NUMBER = "timestamp not a whole number"
DUPLICATE = "duplicate of a newer rating"

_NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE_NUMBER = r"^-?\d{1,18}$"

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class CleanRatings:
    """The rows that can be ratings, and those that cannot.

    Attributes:
        accepted: `row` int64 (position in the file, from 0), `user_id` and `movie_id` string,
            `rating` float32, `timestamp` int64.
        rejected: `row`, the four columns as text, unchanged, and `reason`.
    """

    accepted: pa.Table
    rejected: pa.Table

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """Number of rejected rows by reason, highest first."""
        return dict(Counter(self.rejected[REASON].to_pylist()).most_common())


def clean(raw: pa.Table, rating_min: float, rating_max: float) -> CleanRatings:
    """Separates the rows that can be ratings from those that cannot.

    Args:
        raw: Table with `user_id`, `movie_id`, `rating` and `timestamp`, strings or numbers.
        rating_min: Lowest rating of the edition, in stars.
        rating_max: Highest rating of the edition, in stars.
    """
    users, movies = _as_text(raw[features.USER_ID]), _as_text(raw[features.MOVIE_ID])
    ratings = _as_numbers(raw[features.RATING], pa.float64(), _NUMBER)
    timestamps = _as_numbers(raw[features.TIMESTAMP], pa.int64(), _WHOLE_NUMBER)
    rating_values = _numpy(ratings, np.nan)
    outside = (rating_values < rating_min) | (rating_values > rating_max)

    reasons = np.full(raw.num_rows, "", dtype=object)
    _mark(reasons, _is_missing(users) | _is_missing(movies), MISSING_ID)
    _mark(reasons, _has_space(users) | _has_space(movies), ID_HAS_SPACE)
    _mark(reasons, ~np.isfinite(rating_values), RATING_NOT_A_NUMBER)
    _mark(reasons, outside, RATING_OUT_OF_RANGE)
    _mark(reasons, pc.is_null(timestamps).to_numpy(zero_copy_only=False), TIMESTAMP_NOT_A_NUMBER)
    _mark(reasons, _superseded(users, movies, _numpy(timestamps, 0), reasons == ""), DUPLICATE)

    rows = pa.array(np.arange(raw.num_rows))
    table = pa.table(
        {
            ROW: rows,
            features.USER_ID: users,
            features.MOVIE_ID: movies,
            features.RATING: pc.cast(ratings, pa.float32(), safe=False),
            features.TIMESTAMP: timestamps,
        }
    )
    accepted = reasons == ""
    unchanged = pa.table(
        {ROW: rows, **{name: _as_text(raw[name]) for name in raw.column_names}, REASON: reasons}
    )
    return CleanRatings(table.filter(pa.array(accepted)), unchanged.filter(pa.array(~accepted)))


def require_few_rejected(cleaned: CleanRatings, rows_read: int, max_fraction: float) -> None:
    """Refuses data in which too many rows cannot be ratings.

    Raises:
        DataError: There are no rows, or more than the fraction was rejected. The message has the
            counts.
    """
    if not rows_read:
        raise DataError("the ratings file has no rows")
    rejected = cleaned.rejected.num_rows
    if rejected <= max_fraction * rows_read:
        return
    counts = ", ".join(f"{count} {reason}" for reason, count in cleaned.rejected_by_reason.items())
    example = cleaned.rejected.slice(0, 1).to_pylist()[0]
    raise DataError(
        f"{rejected} of {rows_read} rows cannot be ratings ({rejected / rows_read:.2%}, "
        f"data.max_rejected_fraction allows {max_fraction:.2%}): {counts}; the first is row "
        f"{example[ROW] + 1}: user {example[features.USER_ID]}, movie "
        f"{example[features.MOVIE_ID]}, rating {example[features.RATING]}, timestamp "
        f"{example[features.TIMESTAMP]}"
    )


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    return pc.cast(column, pa.string()).combine_chunks()


def _as_numbers(column: pa.ChunkedArray, number: pa.DataType, pattern: str) -> pa.Array:
    """Returns the column as numbers, with null for text that is not a number."""
    column = column.combine_chunks()
    if pa.types.is_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.match_substring_regex(text, pattern), text, None)
    return pc.cast(column, number)


def _numpy(column: pa.Array, missing: float) -> np.ndarray[Any, np.dtype[Any]]:
    return pc.fill_null(column, missing).to_numpy(zero_copy_only=False)


def _is_missing(ids: pa.Array) -> Mask:
    empty = pc.equal(pc.utf8_trim_whitespace(ids), "")
    return _numpy(empty, True)


def _has_space(ids: pa.Array) -> Mask:
    return _numpy(pc.match_substring_regex(ids, r"[\s\x00-\x1f]"), False)


def _mark(reasons: np.ndarray[Any, np.dtype[Any]], where: Mask, reason: str) -> None:
    """Sets the reason of the rows that have none yet."""
    reasons[(reasons == "") & where] = reason


def _superseded(
    users: pa.Array,
    movies: pa.Array,
    timestamps: np.ndarray[Any, np.dtype[np.int64]],
    candidates: Mask,
) -> Mask:
    """Marks all but the newest candidate row of each (user, movie); of equals, the last stays."""
    rows = np.flatnonzero(candidates)
    user_codes, movie_codes = _codes(users)[rows], _codes(movies)[rows]
    order = np.lexsort((rows, timestamps[rows], movie_codes, user_codes))
    same_as_next = np.zeros(len(rows), bool)
    same_as_next[:-1] = (np.diff(user_codes[order]) == 0) & (np.diff(movie_codes[order]) == 0)
    superseded = np.zeros(len(users), bool)
    superseded[rows[order[same_as_next]]] = True
    return superseded


def _codes(ids: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    return _numpy(pc.dictionary_encode(ids).indices, -1).astype(np.int64)
