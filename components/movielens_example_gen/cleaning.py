"""Separates the rows that can be ratings from the others, and says why those cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.movielens_example_gen import normalising
from components.movielens_example_gen.options import Dialect, RowBounds
from components.movielens_example_gen.rating_scale import recognise
from components.movielens_example_gen.readers.edition import RawRatings
from models import features

ROW = "row"
REASON = "reason"
SPAN = "span"
"""Column with the name of the span of a rejected row, where there are spans."""

REPEATED_HEADER = "header among the rows"
BLANK = "blank row"
BLANK_END = "blank row at the end"
CUT = "last line, cut"
MISSING_ID = "missing id"
ID_HAS_SPACE = "id with white space"
ID_LOST_DIGITS = "id in scientific notation"
ID_TOO_LONG = "id of over 1,000 characters"
RATING_NOT_A_NUMBER = "rating not a number"
RATING_OUT_OF_RANGE = "rating out of range"
RATING_BETWEEN_STEPS = "rating between two steps"
TIMESTAMP_NOT_A_TIME = "timestamp not a time"
TIMESTAMP_OUT_OF_RANGE = "timestamp out of range"
DUPLICATE = "duplicate of a newer rating"

NO_DAMAGE = (DUPLICATE, BLANK_END)
"""Reasons that do not count towards `data.max_rejected_fraction`.

Re-ratings are normal, and Excel leaves rows of delimiters alone below a table. A blank row among
others may have lost its values.
"""

_TIMES: Final = "write times as seconds since 1970, or as 2026-11-22 18:30:00"
_REMEDIES: Final[Mapping[str, str]] = {
    REPEATED_HEADER: "write one header",
    BLANK: "write all values, or remove the rows",
    CUT: "write the last line whole",
    MISSING_ID: "write both ids in every row",
    ID_HAS_SPACE: "write ids without white space and control characters, such as numbers",
    ID_LOST_DIGITS: "write ids as whole numbers or text",
    ID_TOO_LONG: "write shorter ids, such as numbers",
    RATING_NOT_A_NUMBER: "write ratings as numbers, and leave out rows without one",
    RATING_OUT_OF_RANGE: "set data.rating_range if the scale is another",
    RATING_BETWEEN_STEPS: "set data.rating_step if the step is another",
    TIMESTAMP_NOT_A_TIME: _TIMES,
    TIMESTAMP_OUT_OF_RANGE: _TIMES,
}
"""What to do about rows by the reason why they cannot be ratings."""

# In a small span, as many bad rows as these tell nothing about the others.
_FEW_OF_A_SPAN: Final = 10

# Longer ones are damage, and arrays of ids would take their length for every id.
_LONGEST_ID = 1_000
_SPOILT_IDS: Mapping[str, Callable[[pa.Array], pa.Array]] = {
    ID_HAS_SPACE: partial(pc.match_substring_regex, pattern=normalising.SPACE_OR_CONTROL),
    ID_LOST_DIGITS: partial(pc.match_substring_regex, pattern=normalising.SCIENTIFIC),
    ID_TOO_LONG: lambda ids: pc.greater(pc.utf8_length(ids), _LONGEST_ID),
}
# Ratings are float32 further on.
_STEP_TOLERANCE = 1e-4

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class CleanRatings:
    """The rows that can be ratings, and those that cannot.

    Attributes:
        accepted: `row` int64 (position in the file, from 0), `user_id` and `movie_id` string,
            `rating` float32, `timestamp` int64.
        rejected: `row`, the columns as text, unchanged, and `reason`.
        recognised: Phrases for people on the scale of the ratings and the unit of the times.
        has_times: Whether the ratings have times; if not, every `timestamp` is 0.
        span_rows: Number of rows of each span by its name; empty for a path without spans.
    """

    accepted: pa.Table
    rejected: pa.Table
    recognised: tuple[str, ...] = ()
    has_times: bool = True
    span_rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """Number of rejected rows by reason, highest first."""
        return _by_reason(self.rejected)


class _Reasons:
    """The reason of each row, the first that was marked; rows without one can be ratings."""

    def __init__(self, rows: int) -> None:
        self._codes = np.zeros(rows, np.int8)
        self._names = [""]

    @property
    def none(self) -> Mask:
        """Whether a row has no reason."""
        without: Mask = self._codes == 0
        return without

    def mark(self, where: Mask, reason: str) -> None:
        """Sets the reason of the rows that have none yet."""
        if not where.any():
            return
        self._codes[where & self.none] = len(self._names)
        self._names.append(reason)

    def of(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
        """Returns the reasons of rows as text."""
        return pa.array(self._names, pa.string()).take(pa.array(self._codes[rows]))


def clean(
    raw: RawRatings,
    bounds: RowBounds,
    dialect: Dialect,
    rating_range: tuple[float, float] | None,
) -> CleanRatings:
    """Separates the rows that can be ratings from those that cannot.

    Args:
        raw: Tables of an edition; a table without `timestamp` gets 0 in every row.
        bounds: Bounds of every data set.
        dialect: Range and step of the ratings and unit of the times, where they are set.
        rating_range: Lowest and highest rating of the edition; None to recognise them.

    Raises:
        DataError: The range, or the order of dates, cannot be recognised.
    """
    rows = raw.ratings.num_rows
    encoded = {
        name: normalising.by_distinct(raw.ratings[name])
        for name in (features.USER_ID, features.MOVIE_ID, features.RATING)
    }
    users = normalising.ids(encoded[features.USER_ID])
    movies = normalising.ids(encoded[features.MOVIE_ID])
    ratings = normalising.numbers(encoded[features.RATING])
    rating_values = _numpy(ratings, np.nan)
    scale = dialect.rating_range or rating_range or recognise(rating_values)
    has_times = features.TIMESTAMP in raw.ratings.column_names and not normalising.is_empty(
        raw.ratings[features.TIMESTAMP]
    )
    timestamps, times = (
        _timestamps(raw.ratings, dialect, bounds)
        if has_times
        else (pa.array(np.zeros(rows, np.int64)), "no times")
    )
    seconds = _numpy(timestamps, 0)

    reasons = _Reasons(rows)
    reasons.mark(_is_header(raw, encoded), REPEATED_HEADER)
    if raw.cut_rows:
        reasons.mark(np.isin(np.arange(rows), raw.cut_rows), CUT)
    missing_users, missing_movies = _is_missing(users), _is_missing(movies)
    blank = missing_users & missing_movies
    if blank.any():
        blank &= _is_missing(normalising.ids(encoded[features.RATING]))
        reasons.mark(_is_at_end(blank, raw.file_rows or (rows,)), BLANK_END)
        reasons.mark(blank, BLANK)
    reasons.mark(missing_users | missing_movies, MISSING_ID)
    for reason, is_spoilt in _SPOILT_IDS.items():
        reasons.mark(_is(users, is_spoilt) | _is(movies, is_spoilt), reason)
    reasons.mark(~np.isfinite(rating_values), RATING_NOT_A_NUMBER)
    lowest, highest = max(scale[0], bounds.rating_min), min(scale[1], bounds.rating_max)
    reasons.mark((rating_values < lowest) | (rating_values > highest), RATING_OUT_OF_RANGE)
    if dialect.rating_step is not None:
        steps = (np.nan_to_num(rating_values) - scale[0]) / dialect.rating_step
        reasons.mark(np.abs(steps - np.round(steps)) > _STEP_TOLERANCE, RATING_BETWEEN_STEPS)
    reasons.mark(pc.is_null(timestamps).to_numpy(zero_copy_only=False), TIMESTAMP_NOT_A_TIME)
    outside = (seconds < bounds.timestamp_min) | (seconds > bounds.timestamp_max)
    reasons.mark(outside, TIMESTAMP_OUT_OF_RANGE)
    reasons.mark(_superseded(users, movies, seconds, reasons.none), DUPLICATE)

    good = reasons.none
    table = pa.table(
        {
            ROW: pa.array(np.arange(rows)),
            features.USER_ID: users.dictionary_decode(),
            features.MOVIE_ID: movies.dictionary_decode(),
            features.RATING: pc.cast(ratings, pa.float32(), safe=False),
            features.TIMESTAMP: timestamps,
        }
    )
    bad = np.flatnonzero(~good)
    unchanged = raw.ratings.take(bad)
    rejected = pa.table(
        {
            ROW: bad,
            **{name: pc.cast(unchanged[name], pa.string()) for name in unchanged.column_names},
            REASON: reasons.of(bad),
        }
    )
    recognised = (f"ratings {scale[0]:g} to {scale[1]:g}", times)
    # Without bad rows, a filter would copy the whole table.
    accepted = table.filter(pa.array(good)) if len(bad) else table
    return CleanRatings(accepted, rejected, recognised, has_times)


def _timestamps(table: pa.Table, dialect: Dialect, bounds: RowBounds) -> tuple[pa.Array, str]:
    return normalising.seconds(
        table[features.TIMESTAMP],
        dialect.timestamp_unit,
        bounds.timestamp_max,
        dialect.date_order,
    )


def _is_header(raw: RawRatings, encoded: Mapping[str, pa.DictionaryArray]) -> Mask:
    """Marks rows that repeat the header, as files that were joined have them."""
    repeated = np.full(raw.ratings.num_rows, bool(raw.header))
    for name, column in encoded.items():
        if not repeated.any():
            break
        texts = pc.utf8_trim(pc.cast(column.dictionary, pa.string()), characters="\ufeff ")
        same = pc.equal(texts, raw.header[name])
        repeated &= _numpy(same.take(column.indices), False)
    return repeated


def require_few_rejected(cleaned: CleanRatings, rows_read: int, max_fraction: float) -> None:
    """Refuses data, or a span of it, in which too many rows cannot be ratings.

    Raises:
        DataError: There are no rows, a span has no row that is a rating, or more than the fraction
            was rejected, in all or in a span. The message has the counts and what to do.
    """
    if not rows_read:
        raise DataError("the ratings file has no rows")
    _require_few(cleaned.rejected, rows_read, max_fraction, "")
    damaged = _counts(cleaned.rejected, SPAN) if cleaned.span_rows else {}
    for span, rows in cleaned.span_rows.items():
        # A whole week may be less than the fraction of all.
        if damaged.get(span, 0) > _FEW_OF_A_SPAN or damaged.get(span) == rows:
            of_span = cleaned.rejected.filter(pc.equal(cleaned.rejected[SPAN], span))
            _require_few(of_span, rows, max_fraction, f" of span {span}", _FEW_OF_A_SPAN)


def _require_few(
    rejected: pa.Table, rows_read: int, max_fraction: float, place: str, few: int = 0
) -> None:
    """Refuses rows of which more than a fraction and more than a few, or all, were rejected."""
    counted = _by_reason(rejected)
    # Any number of them would hide damage.
    rows = rows_read - counted.get(BLANK_END, 0)
    by_reason = {reason: count for reason, count in counted.items() if reason not in NO_DAMAGE}
    bad = sum(by_reason.values())
    if not rows:
        raise DataError(f"all {rows_read} rows{place} are blank")
    if bad <= max_fraction * rows or (bad <= few and bad < rows):
        return
    counts = ", ".join(f"{count} {reason}" for reason, count in by_reason.items())
    damage = pc.invert(pc.is_in(rejected[REASON], value_set=pa.array(NO_DAMAGE)))
    example = rejected.filter(damage).slice(0, 1).to_pylist()[0]
    of_span = f" of span {example[SPAN]}" if SPAN in example else ""
    remedy = _REMEDIES[next(iter(by_reason))]
    raise DataError(
        f"{bad} of {rows} rows{place} cannot be ratings ({bad / rows:.2%}, "
        f"data.max_rejected_fraction allows {max_fraction:.2%}): {counts}; the first is row "
        f"{example[ROW] + 1}{of_span}: user {example[features.USER_ID]}, movie "
        f"{example[features.MOVIE_ID]}, rating {example[features.RATING]}, timestamp "
        f"{example.get(features.TIMESTAMP)}; {remedy}"
    )


def _by_reason(rejected: pa.Table) -> dict[str, int]:
    return _counts(rejected, REASON)


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    """Returns the number of rows by the value of a column, highest first."""
    counted = pc.value_counts(table[column].combine_chunks())
    values, counts = (counted.field(name).to_pylist() for name in ("values", "counts"))
    return dict(sorted(zip(values, counts, strict=True), key=lambda found: -found[1]))


def _numpy(column: pa.Array, missing: float) -> np.ndarray[Any, np.dtype[Any]]:
    return pc.fill_null(column, missing).to_numpy(zero_copy_only=False)


def _is_at_end(blank: Mask, file_rows: Sequence[int]) -> Mask:
    """Marks the blank rows that no other row of their file follows."""
    at_end = np.zeros_like(blank)
    for end, count in zip(np.cumsum(file_rows), file_rows, strict=True):
        filled = np.flatnonzero(~blank[end - count : end])
        at_end[end - count + (filled[-1] + 1 if len(filled) else 0) : end] = True
    return at_end


def _is_missing(ids: pa.DictionaryArray) -> Mask:
    return pc.is_null(ids, nan_is_null=False).to_numpy(zero_copy_only=False) | (_codes(ids) < 0)


def _is(ids: pa.DictionaryArray, is_spoilt: Callable[[pa.Array], pa.Array]) -> Mask:
    spoilt = is_spoilt(ids.dictionary)
    if not pc.any(spoilt).as_py():
        return np.zeros(len(ids), bool)
    return _numpy(spoilt.take(ids.indices), False)


def _superseded(
    users: pa.DictionaryArray,
    movies: pa.DictionaryArray,
    timestamps: np.ndarray[Any, np.dtype[np.int64]],
    candidates: Mask,
) -> Mask:
    """Marks all but the newest candidate row of each (user, movie); of equals, the last stays."""
    rows = np.flatnonzero(candidates)
    pairs = _codes(users)[rows].astype(np.int64) * len(movies.dictionary) + _codes(movies)[rows]
    # Few pairs repeat, and to sort them alone takes a fraction of the time and of the memory.
    repeated = _repeated(pairs)
    rows, pairs = rows[repeated], pairs[repeated]
    order = np.lexsort((rows, timestamps[rows], pairs))
    superseded = np.zeros(len(users), bool)
    superseded[rows[order[:-1]][np.diff(pairs[order]) == 0]] = True
    return superseded


def _repeated(values: np.ndarray[Any, np.dtype[np.int64]]) -> Mask:
    """Marks the values that are not the only one of their kind."""
    ordered = np.sort(values)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(len(values), bool)
    return twice[np.minimum(np.searchsorted(twice, values), len(twice) - 1)] == values


def _codes(ids: pa.DictionaryArray) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Returns a number for each distinct id, -1 for a missing one."""
    codes: np.ndarray[Any, np.dtype[np.int32]] = _numpy(ids.indices, -1)
    missing = np.flatnonzero(pc.is_null(ids.dictionary).to_numpy(zero_copy_only=False))
    return np.where(np.isin(codes, missing), -1, codes) if len(missing) else codes
