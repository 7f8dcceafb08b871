"""Brings ids, numbers, times and texts into one form, whatever wrote them.

Each function works on the distinct values of a column, which are few, and returns null for a value
that is missing or has no such form.
"""

from __future__ import annotations

import ast
import datetime
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.movielens_example_gen.options import DateOrder, TimestampUnit

MISSING: Final = (
    "", "nan", "NaN", "NAN", "-nan", "-NaN", "NaT", "null", "NULL", "None", "NA", "<NA>", "N/A",
    "n/a", "undefined", "(null)", "[NULL]", "<null>", r"\N",
    "#N/A", "#NA", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!",
)  # fmt: skip
"""Texts by which programs write that a value is missing; `NA` is R's, `#` begins Excel's errors."""

NO_GENRES: Final = "(no genres listed)"

SPACE_OR_CONTROL: Final = r"[\s\p{Z}\p{Cc}\x{0085}]"
"""Characters that no id may contain: the vocabularies of TensorFlow Transform are split at them."""

# Characters without a width that editors and web pages leave behind, byte-order marks among them.
_INVISIBLE = r"[\x{200B}-\x{200F}\x{2060}\x{FEFF}\x{00AD}]"
# As Excel shows long numbers, and as Arrow writes floats that are not exact.
SCIENTIFIC: Final = r"^-?\d(\.\d+)?[eE]\+\d+$"
"""Ids of which digits are lost, so that many have the same text."""

_WHOLE = r"^-?\d+(\.0+)?$"
_NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
# Ratings such as 4/5, 80% and 4 stars; every group has a name for pyarrow.
_WITH_END = r"^(?P<number>-?\d+(?:[.,]\d+)?)\s*(?P<end>%|/\s*\d+|(?:out )?of \d+|stars?)$"
_WORDS = (
    ("false", "f", "no", "n", "dislike", "disliked", "down", "thumbs down", "downvote", "👎"),
    ("true", "t", "yes", "y", "like", "liked", "up", "thumbs up", "upvote", "👍"),
)
_DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
# What fits into int64: nanoseconds have 19 digits.
_WHOLE_NUMBER = r"^(-?\d{1,18}|[1-8]\d{18})$"
_DATE = r"^\d{4}-\d\d-\d\d"
_PLAIN_DATE = r"^\d{4}-\d\d-\d\d([T ]\d\d(:\d\d){1,2}(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?$"
_YEAR_FIRST = r"^(?P<year>\d{4})[/.-](?P<month>\d{1,2})[/.-](?P<day>\d{1,2})(?P<rest>\D.*)?$"
_YEAR_LAST = r"^(?P<first>\d{1,2})[/.-](?P<second>\d{1,2})[/.-](?P<year>\d{4})(?P<rest>\D.*)?$"
_YEAR_AND_MONTH = r"^(\d{4}-\d\d)$"
# As in 20200413T183000Z.
_WITHOUT_DASHES = r"^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)"
# As JavaScript writes a date and a time, and Java the name of a zone.
_COMMA_AFTER_DATE = r"^([\d/.-]+),\s*"
_ZONE_NAME = r"(\d|Z)\[[A-Za-z0-9_/+-]+\]$"
_NO_BREAK = r"[\x{00A0}\x{202F}]"
_SPACED_OFFSET = r"^(\d{4}-\d\d-\d\d.*\d) ([+-]\d\d:?\d\d)$"
_UTC = r"^(\d{4}-\d\d-\d\d.*\d) ?(UTC|GMT)$"
_ONE_DIGIT_HOUR = r"^(\d{4}-\d\d-\d\d)[T ]+(\d:)"
_HALF_DAY = (
    r"^(?P<date>\d{4}-\d\d-\d\d) (?P<hour>\d\d)(?P<rest>:[\d:.]*) ?(?P<half>[AaPp])\.?[Mm]\.?$"
)
_MONTHS = 12
_NOON = 12
# Floats beyond this are not exact.
_LARGEST_WHOLE_FLOAT = 2.0**53
# Nanoseconds as floats are exact to far less than a second.
_LARGEST_TIME = 2.0**63
# In 1973: numbers between the latest second and this in milliseconds are no times at all.
_PLAUSIBLE_SECONDS = 100_000_000
# In 1990: ticks of .NET and of Windows, taken for nanoseconds, are earlier, ratings are later.
_OLDEST_NANOSECONDS = 650_000_000
# Seconds before August 1971. Days since 1970 or 1900, hours and minutes since 1970, and numbers
# such as 201113 are among them, and no rating is that old.
_IN_DOUBT = (10_000, 50_000_000)
_PER_SECOND: dict[TimestampUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_UNITS: dict[TimestampUnit, str] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
_YEARS = (1900, 2099)
# Numbers that are dates, such as 20200413 and 20200413183000, and how many times a day they hold.
_COMPACT_DATES = ((19000101, 20991231, 1), (19000101000000, 20991231235959, 10**6))
_MOST = 0.99


def ids(column: pa.ChunkedArray | pa.Array) -> pa.DictionaryArray:
    """Returns ids without white space at the ends and without invisible characters."""

    def normalised(values: pa.Array) -> pa.Array:
        if pa.types.is_floating(values.type):
            whole = pc.equal(values, pc.floor(values))
            values = pc.if_else(
                pc.and_(whole, pc.less(pc.abs(values), _LARGEST_WHOLE_FLOAT)),
                pc.cast(pc.cast(pc.if_else(whole, values, None), pa.int64(), safe=False), "string"),
                pc.cast(values, pa.string()),
            )
        text = _visible(values)
        # pandas writes whole numbers as floats if any other is missing, one week and not the next.
        if pc.all(pc.match_substring_regex(text, _WHOLE)).as_py():
            text = pc.replace_substring_regex(text, r"\.0+$", "")
        return text

    return by_distinct(column, normalised)


def numbers(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Returns float64 numbers; a decimal comma counts as a point, and words such as `true` as 1.

    Where no text is a number, `4/5` is 4 and `80%` is 80, if most texts end alike.
    """

    def read(values: pa.Array) -> pa.Array:
        found = _numbers(values)
        if found.null_count < len(found) or not pa.types.is_string(values.type):
            return found
        return _numbers(_without_end(_visible(values)))

    return by_distinct(column, read).dictionary_decode()


def is_empty(column: pa.ChunkedArray) -> bool:
    """Returns whether a column has no value at all."""
    is_value = pc.invert(pc.is_null(column, nan_is_null=True))
    at = pc.index(is_value, True).as_py()
    if at < 0:
        return True
    # The first value tells in nearly all cases.
    if not pa.types.is_string(column.type) or column[at].as_py() not in MISSING:
        return False
    is_missing = pc.is_in(column, value_set=pa.array(MISSING))
    return not pc.any(pc.and_not(is_value, is_missing)).as_py()


def seconds(
    column: pa.ChunkedArray,
    unit: TimestampUnit | None,
    latest: int,
    order: DateOrder | None = None,
) -> tuple[pa.Array, str]:
    """Returns int64 seconds since 1970, and what the column holds.

    Args:
        column: Numbers or dates; a date without a zone is UTC, and parts of seconds are dropped.
        unit: Unit of the numbers; None for the one in which most of them are times. Then numbers
            that are times in another unit only are null, and those such as 20200413 are dates.
        latest: Latest second that can be a time.
        order: Order of dates such as 03/04/2020; None to recognise it.

    Raises:
        DataError: The order of dates cannot be recognised.
    """
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return pc.cast(pc.cast(column, pa.timestamp("s"), safe=False), pa.int64()), "dates"
    if pa.types.is_string(column.type):
        plain = pc.match_substring_regex(column, _WHOLE_NUMBER)
        if pc.all(plain, skip_nulls=False).as_py():
            return _in_seconds(pc.cast(column, pa.int64()), unit, latest)
    dates: list[bool] = []

    def whole(values: pa.Array) -> pa.Array:
        if pa.types.is_integer(values.type):
            # What does not fit becomes a time before 1970.
            return pc.cast(values, pa.int64(), safe=False)
        if pa.types.is_floating(values.type):
            return _whole(values)
        text = _with_iso_dates(_visible(values), order)
        is_whole = pc.match_substring_regex(text, _WHOLE_NUMBER)
        found = pc.cast(pc.if_else(is_whole, text, None), pa.int64())
        if pc.all(is_whole).as_py() in (True, None):
            return found
        rest = pc.if_else(is_whole, None, text)
        is_date = pc.fill_null(pc.match_substring_regex(rest, _DATE), False)
        dates.append(pc.any(is_date).as_py())
        others = _whole(_numbers(pc.if_else(is_date, None, rest)))
        return pc.coalesce(found, others, _iso_seconds(pc.if_else(is_date, rest, None)))

    values = by_distinct(column, whole).dictionary_decode()
    return (values, "dates") if any(dates) else _in_seconds(values, unit, latest)


def _in_seconds(values: pa.Array, unit: TimestampUnit | None, latest: int) -> tuple[pa.Array, str]:
    if unit is None:
        if (dates := _compact_dates(values)) is not None:
            return dates, "dates"
        _refuse_in_doubt(values)
        unit = _unit(values, latest)
        if unit != "s":
            is_smaller = pc.and_(
                pc.greater_equal(values, _PLAUSIBLE_SECONDS),
                pc.less(values, _PLAUSIBLE_SECONDS * _PER_SECOND[unit]),
            )
            values = pc.if_else(is_smaller, None, values)
    if unit != "s":
        missing = pc.is_null(values).to_numpy(zero_copy_only=False)
        array = pc.fill_null(values, 0).to_numpy(zero_copy_only=False) // _PER_SECOND[unit]
        values = pa.array(array, mask=missing)
    return values, _UNITS[unit]


def _refuse_in_doubt(values: pa.Array) -> None:
    """Refuses numbers that are hardly seconds, and in no unit that is read.

    Raises:
        DataError: All of them are.
    """
    lowest, highest = pc.min_max(values).values()
    if lowest.is_valid and _IN_DOUBT[0] <= lowest.as_py() <= highest.as_py() <= _IN_DOUBT[1]:
        raise DataError(
            f"timestamps from {lowest} to {highest} can be seconds of 1970 or 1971, or days, hours "
            "or minutes: write dates as YYYY-MM-DD, or set data.timestamp_unit"
        )


def _compact_dates(values: pa.Array) -> pa.Array | None:
    """Returns the seconds of numbers such as 2020 and 20200413; None if most are no dates.

    A year or a month such as 202004 stands for its first day.
    """
    present = len(values) - values.null_count
    if not present:
        return None
    array = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    is_year = (array >= _YEARS[0]) & (array <= _YEARS[1])
    if is_year.sum() >= _MOST * present:
        found = (array - 1970).astype("datetime64[Y]").astype("datetime64[s]").astype(np.int64)
        return pa.array(found, pa.int64(), mask=~is_year)
    is_month = (array >= _YEARS[0] * 100) & (array <= _YEARS[1] * 100 + _MONTHS)
    is_month &= (array % 100 - 1) // _MONTHS == 0
    if is_month.sum() >= _MOST * present:
        months = (array // 100 - 1970) * _MONTHS + array % 100 - 1
        found = months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
        return pa.array(found, pa.int64(), mask=~is_month)
    for lowest, highest, per_day in _COMPACT_DATES:
        is_within = (array >= lowest) & (array <= highest)
        if is_within.sum() < _MOST * present:
            continue
        dates, times = np.divmod(np.where(is_within, array, lowest), per_day)
        month = ((dates // 10_000 - 1970) * 12 + dates // 100 % 100 - 1).astype("datetime64[M]")
        day = month.astype("datetime64[D]") + (dates % 100 - 1)
        hours, minutes, seconds = times // 10_000, times // 100 % 100, times % 100
        is_date = (
            is_within
            # A month or a day that does not exist becomes another one.
            & ((dates // 100 % 100 - 1) // 12 == 0)
            & (day.astype("datetime64[M]") == month)
            & (hours < 24)  # noqa: PLR2004
            & (np.maximum(minutes, seconds) < 60)  # noqa: PLR2004
        )
        if is_date.sum() >= _MOST * present:
            found = day.astype(np.int64) * 86_400 + hours * 3_600 + minutes * 60 + seconds
            return pa.array(found, pa.int64(), mask=~is_date)
    return None


def titles(column: pa.ChunkedArray) -> pa.Array:
    """Returns titles on one line each."""

    def normalised(values: pa.Array) -> pa.Array:
        text = pc.replace_substring_regex(
            pc.cast(values, pa.string()), r"[\p{Cc}\p{Zl}\p{Zp}]+", " "
        )
        text = pc.utf8_trim_whitespace(text)
        return pc.if_else(pc.equal(text, ""), None, text)

    return by_distinct(column, normalised).dictionary_decode()


def genres(column: pa.ChunkedArray) -> pa.Array:
    """Splits `"Comedy | Drama"` into `["Comedy", "Drama"]`; no genres give an empty list.

    A column of lists, which Parquet can have, is trimmed as they are. Texts can be lists as Python
    or JSON writes them. A semicolon or a comma divides them where no bar does, if that gives fewer
    genres.
    """
    if is_list(column.type):
        rows = [_genre_list(map(_genre_name, names or ())) for names in column.to_pylist()]
        return pa.array(rows, pa.list_(pa.string()))
    encoded = by_distinct(pc.cast(column, pa.string()))
    lists = _genre_lists(encoded.dictionary.drop_null().to_pylist())
    lists.append([])
    indices = pc.fill_null(encoded.indices, len(lists) - 1)
    return pa.array(lists, pa.list_(pa.string())).take(indices)


def is_list(kind: pa.DataType) -> bool:
    """Returns whether a type is one of the lists that Arrow has."""
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_fixed_size_list,
            pa.types.is_list_view,
            pa.types.is_large_list_view,
        )
    )


def _genre_lists(texts: Sequence[str]) -> list[list[str]]:
    written = [_written_list(text) for text in texts]
    if any(names is not None for names in written):
        return [
            _genre_list(text.split("|") if names is None else names)
            for text, names in zip(texts, written, strict=True)
        ]
    for delimiter in ("|", ";", ","):
        if any(delimiter in text for text in texts):
            lists = [_genre_list(text.split(delimiter)) for text in texts]
            # Genres repeat; the parts of names such as "Science, Nature" do not.
            if delimiter == "|" or len({name for names in lists for name in names}) < len(texts):
                return lists
    return [_genre_list([text]) for text in texts]


def _written_list(text: str) -> list[str] | None:
    """Returns the names in a text such as `['Comedy', 'Drama']` or `[{'name': 'Drama'}]`."""
    if not text.strip().startswith("["):
        return None
    try:
        entries = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return [_genre_name(entry) for entry in entries] if isinstance(entries, list) else None


def _genre_name(entry: object) -> str:
    return str((entry.get("name") if isinstance(entry, dict) else entry) or "")


def _genre_list(names: Iterable[str]) -> list[str]:
    # The catalogue separates fields by tabs and entries by line breaks.
    trimmed = (" ".join(name.split()) for name in names)
    return list(dict.fromkeys(name for name in trimmed if name and name != NO_GENRES))


def by_distinct(
    column: pa.ChunkedArray | pa.Array, function: Callable[[pa.Array], pa.Array] | None = None
) -> pa.DictionaryArray:
    """Applies a function to the distinct values of a column.

    Args:
        column: Values, as they are or in a dictionary.
        function: Function of an array; None to keep the values.

    Returns:
        The results, with each of them once in the dictionary.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    if isinstance(column, pa.ChunkedArray):
        # Text of more than 2 GiB does not fit into one array, its dictionary does.
        column = pc.dictionary_encode(column).unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    if function is None:
        return column
    results = pc.dictionary_encode(function(column.dictionary))
    indices = results.indices.take(column.indices)
    return pa.DictionaryArray.from_arrays(indices, results.dictionary)


def _visible(values: pa.Array) -> pa.Array:
    text = pc.replace_substring_regex(pc.cast(values, pa.string()), _INVISIBLE, "")
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING)), None, text)


def _numbers(values: pa.Array) -> pa.Array:
    if not pa.types.is_string(values.type):
        return pc.cast(values, pa.float64(), safe=False)
    text = _visible(values)
    text = pc.if_else(
        pc.match_substring_regex(text, _DECIMAL_COMMA),
        pc.replace_substring(text, ",", "."),
        text,
    )
    text = pc.replace_substring_regex(pc.replace_substring(text, "\u2212", "-"), r"^\+", "")
    is_number = pc.match_substring_regex(text, _NUMBER)
    if pc.all(is_number).as_py() is False:
        plain = pc.replace_substring(pc.utf8_lower(text), "_", " ")
        for number, words in enumerate(_WORDS):
            is_word = pc.is_in(plain, value_set=pa.array(words))
            text = pc.if_else(is_word, str(number), text)
            is_number = pc.or_kleene(is_number, is_word)
    return pc.cast(pc.if_else(is_number, text, None), pa.float64())


def _without_end(text: pa.Array) -> pa.Array:
    """Returns the numbers of texts such as `4/5`, with the end that most of them have."""
    parts = pc.extract_regex(pc.utf8_lower(text), _WITH_END)
    ends = pc.replace_substring_regex(pc.struct_field(parts, "end"), r"\s+|s$", "")
    if ends.null_count == len(ends):
        return text
    ((most, _),) = Counter(ends.drop_null().to_pylist()).most_common(1)
    is_most = pc.equal(ends, most)
    return pc.if_else(is_most, pc.struct_field(parts, "number"), None)


def _whole(values: pa.Array) -> pa.Array:
    """Returns floats that can be times as int64; parts of small numbers are no parts of seconds."""
    floats = pc.cast(values, pa.float64())
    whole = pc.floor(floats)
    fits = pc.and_(
        pc.or_(pc.equal(floats, whole), pc.greater_equal(floats, _PLAUSIBLE_SECONDS)),
        pc.less(pc.abs(floats), _LARGEST_TIME),
    )
    return pc.cast(pc.if_else(fits, whole, None), pa.int64())


def _with_iso_dates(text: pa.Array, order: DateOrder | None) -> pa.Array:
    """Returns texts with dates such as 2020/4/3 and 03/04/2020 6:30 PM in the form of ISO 8601."""
    pattern = f"({_PLAIN_DATE})|({_WHOLE_NUMBER})"
    if pc.all(pc.match_substring_regex(text, pattern)).as_py() in (True, None):
        return text
    for pattern, written in (
        (_NO_BREAK, " "),
        (_COMMA_AFTER_DATE, r"\1 "),
        (_ZONE_NAME, r"\1"),
        (_YEAR_AND_MONTH, r"\1-01"),
        (_WITHOUT_DASHES, r"\1-\2-\3T\4:\5:\6"),
    ):
        text = pc.replace_substring_regex(text, pattern, written)
    text = _with_iso_times(_with_year_first(_dashed(text), order))
    text = pc.replace_substring_regex(text, _SPACED_OFFSET, r"\1\2")
    return pc.replace_substring_regex(text, _UTC, r"\1Z")


def _dashed(text: pa.Array) -> pa.Array:
    """Returns texts with dates such as 2020/4/3 as 2020-04-03."""
    parts = pc.extract_regex(text, _YEAR_FIRST)
    if parts.null_count == len(parts):
        return text
    year, month, day, rest = (
        pc.struct_field(parts, name) for name in ("year", "month", "day", "rest")
    )
    two = [pc.utf8_lpad(part, 2, "0") for part in (month, day)]
    dates = pc.binary_join_element_wise(year, *two, "-")
    return pc.coalesce(pc.binary_join_element_wise(dates, rest, ""), text)


def _with_iso_times(text: pa.Array) -> pa.Array:
    """Returns texts with a date and a time such as 6:30 PM with 18:30."""
    text = pc.replace_substring_regex(text, _ONE_DIGIT_HOUR, r"\1 0\2")
    parts = pc.extract_regex(text, _HALF_DAY)
    if parts.null_count == len(parts):
        return text
    date, hour, rest, half = (
        pc.struct_field(parts, name) for name in ("date", "hour", "rest", "half")
    )
    number = pc.cast(hour, pa.int8())
    number = pc.if_else(pc.equal(number, _NOON), 0, number)
    number = pc.add(number, pc.if_else(pc.equal(pc.utf8_lower(half), "p"), _NOON, 0))
    hour = pc.utf8_lpad(pc.cast(number, pa.string()), 2, "0")
    times = pc.binary_join_element_wise(hour, rest, "")
    return pc.coalesce(pc.binary_join_element_wise(date, times, " "), text)


def _with_year_first(text: pa.Array, order: DateOrder | None) -> pa.Array:
    """Returns texts with dates such as 03/04/2020 as 2020-04-03."""
    parts = pc.extract_regex(text, _YEAR_LAST)
    if parts.null_count == len(parts):
        return text
    first, second = (pc.struct_field(parts, name) for name in ("first", "second"))
    chosen = order or _recognised_order(text, pc.cast(first, "int8"), pc.cast(second, "int8"))
    if chosen is None:
        return text
    day, month = (first, second) if chosen == "dmy" else (second, first)
    year, rest = (pc.struct_field(parts, name) for name in ("year", "rest"))
    two = [pc.utf8_lpad(part, 2, "0") for part in (month, day)]
    dates = pc.binary_join_element_wise(year, *two, "-")
    return pc.coalesce(pc.binary_join_element_wise(dates, rest, ""), text)


def _recognised_order(text: pa.Array, first: pa.Array, second: pa.Array) -> DateOrder | None:
    """Returns the order that days after the 12th show; None for a few dates among other texts.

    Raises:
        DataError: No date shows it, or dates show both.
    """
    day_first, day_second = (pc.any(pc.greater(part, _MONTHS)).as_py() for part in (first, second))
    if day_first != day_second:
        return "dmy" if day_first else "mdy"
    if 2 * first.null_count > len(first):
        return None
    example = text.filter(pc.is_valid(first))[0].as_py()
    raise DataError(
        f"dates such as {example} can be two days: set data.date_order to dmy or mdy, or write "
        "dates as YYYY-MM-DD"
    )


def _iso_seconds(text: pa.Array) -> pa.Array:
    """Returns the seconds of ISO 8601 dates; null for a text that is none."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return pc.cast(
                pc.floor_temporal(pc.cast(text, kind), unit="second").cast(
                    pa.timestamp("s", kind.tz)
                ),
                pa.int64(),
            )
        except pa.ArrowInvalid:
            # Dates with and without a zone, or other text among them: one at a time.
            continue
    return pa.array(
        [None if value is None else _seconds_of(value) for value in text.to_pylist()], pa.int64()
    )


def _seconds_of(text: str) -> int | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return math.floor(
        (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
    )


def _unit(values: pa.Array, latest: int) -> TimestampUnit:
    """Returns seconds or, if their median is in the future, the unit in which it is plausible."""
    present = values.drop_null().to_numpy()
    if not len(present):
        return "s"
    median = float(np.median(present))
    if median > latest:
        for unit, per in _PER_SECOND.items():
            oldest = _OLDEST_NANOSECONDS if unit == "ns" else _PLAUSIBLE_SECONDS
            if oldest * per <= median <= latest * per:
                return unit
    return "s"
