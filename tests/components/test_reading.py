"""Whole tables of ratings, written in any dialect and read back as the same ratings."""

import datetime
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.movielens_example_gen import reading, spans
from components.movielens_example_gen.cleaning import DUPLICATE, CleanRatings
from components.movielens_example_gen.options import Dialect, IngestOptions, SplitOptions
from pipeline import row_bounds

# More bytes than pyarrow reads in one block, 1 MiB.
ROWS_OVER_A_BLOCK = 50_000

Rating = tuple[str, str, float, int]


def date(form: str) -> Callable[[int], str]:
    return lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime(form)


TIMES: dict[str, Callable[[int], str]] = {
    "seconds": str,
    "milliseconds": lambda seconds: f"{seconds}123",
    "microseconds": lambda seconds: f"{seconds}123456",
    "nanoseconds": lambda seconds: f"{seconds}123456789",
    "whole floats": lambda seconds: f"{seconds}.0",
    "dates": date("%Y-%m-%dT%H:%M:%SZ"),
    "compact dates": date("%Y%m%d%H%M%S"),
    "dates without zeros": date("%Y/%-m/%-d %-H:%M:%S UTC"),
    "half days": date("%Y-%m-%d %-I:%M:%S %p"),
}
# Each has a digit: `nan` and `null` are no ids.
ids = st.from_regex(r"[a-z][a-z_]{0,4}[0-9]", fullmatch=True)
halves = st.integers(1, 10).map(lambda half: half / 2)
# Nanoseconds before 1990 are ticks of other clocks.
seconds_of_ratings = st.integers(7 * 10**8, 2**31)
ratings = st.lists(
    st.tuples(ids, ids, halves, seconds_of_ratings),
    min_size=1,
    max_size=20,
    unique_by=lambda row: row[:2],
)


def options_for(path: Path, window: int | None = None) -> IngestOptions:
    return IngestOptions(
        edition=spans.find(str(path), "auto", window).edition,
        window=window,
        # A few drawn ratings may leave more than one scale open.
        dialect=Dialect(rating_range=(0.5, 5.0)),
        split=SplitOptions(),
        max_rejected_fraction=0.0,
        bounds=row_bounds.read(),
    )


def accepted(cleaned: CleanRatings) -> list[Rating]:
    names = ("user_id", "movie_id", "rating", "timestamp")
    return list(zip(*(cleaned.accepted[name].to_pylist() for name in names), strict=True))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    drawn=ratings,
    many=st.sampled_from([False, False, False, True]),
    delimiter=st.sampled_from([",", "\t", ";", "|", "::"]),
    header=st.booleans(),
    times=st.sampled_from([*TIMES, None]),
    comma=st.booleans(),
    sign=st.sampled_from(["", "+", " "]),
    end=st.sampled_from(["\n", "\r\n"]),
    packed=st.booleans(),
)
def test_ratings_in_any_dialect_are_read_back(
    tmp_path: Path,
    drawn: list[Rating],
    many: bool,
    delimiter: str,
    header: bool,
    times: str | None,
    comma: bool,
    sign: str,
    end: str,
    packed: bool,
) -> None:
    rows = list(drawn)
    if many:
        rows += [(f"many{at}", "m", 3.5, 10**9 + at) for at in range(ROWS_OVER_A_BLOCK)]
    lines = [delimiter.join(["userId", "movieId", "rating", "timestamp"][: 4 if times else 3])]
    for user, movie, rating, seconds in rows:
        number = f"{sign}{rating}"
        fields = [user, movie, number.replace(".", ",") if comma and delimiter != "," else number]
        lines.append(delimiter.join([*fields, TIMES[times](seconds)] if times else fields))
    content = (end.join(lines[0 if header else 1 :]) + end).encode()
    path = tmp_path / ("table.txt.gz" if packed else "table.txt")
    path.write_bytes(gzip.compress(content, 1) if packed else content)

    options = options_for(path)
    raw, cleaned = reading.read(str(path), options)
    assert cleaned.rejected.num_rows == 0
    assert accepted(cleaned) == [(*row[:3], row[3] if times else 0) for row in rows]
    line = reading.recognised("csv", raw, cleaned)
    assert ("no header" in line) == (not header)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    weeks=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.sampled_from("xyz"),
                halves,
                # Often equal, so that the order of the spans decides.
                st.integers(10**9, 10**9 + 2),
            ),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=4,
    ),
    many=st.sampled_from([0, 0, 0, ROWS_OVER_A_BLOCK]),
    delimiters=st.lists(st.sampled_from([",", "\t", ";", "|"]), min_size=4, max_size=4),
    times=st.sampled_from([*TIMES]),
    window=st.sampled_from([None, 1, 2]),
)
def test_of_ratings_in_spans_the_newest_are_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    weeks: list[list[Rating]],
    many: int,
    delimiters: list[str],
    times: str,
    window: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("weeks")
    # In the middle of the newest span, so that the others lie in other blocks.
    weeks[-1][1:1] = [(f"many{at}", "m", 3.5, 10**9 + at) for at in range(many)]
    for number, (rows, delimiter) in enumerate(zip(weeks, delimiters, strict=False)):
        lines = [delimiter.join(["userId", "movieId", "rating", "timestamp"])]
        lines += [delimiter.join([u, m, str(r), TIMES[times](t)]) for u, m, r, t in rows]
        (folder / f"week-{number:02}.csv").write_text("\n".join(lines) + "\n")

    pattern = folder / "week-{SPAN:2}.csv"
    raw, cleaned = reading.read(str(pattern), options_for(pattern, window))
    newest: dict[tuple[str, str], Rating] = {}
    for row in (row for rows in weeks[-(window or len(weeks)) :] for row in rows):
        held = newest.get(row[:2])
        # Of equal times the last counts.
        if held is None or row[3] >= held[3]:
            newest[row[:2]] = row
    assert sorted(accepted(cleaned)) == sorted(newest.values())
    assert set(cleaned.rejected_by_reason) <= {DUPLICATE}
    assert sum(raw.span_rows) in (raw.ratings.num_rows, 0)


@pytest.mark.parametrize(("name", "written"), TIMES.items())
def test_a_line_says_how_times_are_written(
    tmp_path: Path, name: str, written: Callable[[int], str]
) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(f"user,item,rating,date\na,b,4,{written(964982703)}\n")
    options = IngestOptions(
        edition="csv", split=SplitOptions(), max_rejected_fraction=0.0, bounds=row_bounds.read()
    )
    raw, cleaned = reading.read(str(path), options)
    line = reading.recognised("csv", raw, cleaned)
    expected = {"whole floats": "seconds", "half days": "dates", "compact dates": "dates"}
    assert line.endswith(expected.get(name, name.split(" without", maxsplit=1)[0]))
