"""Whole tables of ratings, written in any dialect and read back as the same ratings."""

import datetime
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.movielens_example_gen import reading, recognition
from components.movielens_example_gen.options import IngestOptions, SplitOptions
from pipeline import row_bounds

# More bytes than pyarrow reads in one block, 1 MiB.
ROWS_OVER_A_BLOCK = 50_000

Rating = tuple[str, str, float, int]


def iso(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TIMES: dict[str, Callable[[int], str]] = {
    "seconds": str,
    "milliseconds": lambda seconds: f"{seconds}123",
    "microseconds": lambda seconds: f"{seconds}123456",
    "whole floats": lambda seconds: f"{seconds}.0",
    "dates": iso,
}
# Each has a digit: `nan` and `null` are no ids.
ids = st.from_regex(r"[a-z][a-z_]{0,4}[0-9]", fullmatch=True)
halves = st.integers(1, 10).map(lambda half: half / 2)
ratings = st.lists(
    st.tuples(
        ids, ids, st.integers(1, 10).map(lambda half: half / 2), st.integers(2 * 10**8, 2**31)
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda row: row[:2],
)


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

    options = IngestOptions(
        edition=recognition.recognise(str(path)),
        split=SplitOptions(),
        max_rejected_fraction=0.0,
        bounds=row_bounds.read(),
    )
    raw, cleaned = reading.read(str(path), options)
    assert cleaned.rejected.num_rows == 0
    names = ("user_id", "movie_id", "rating", "timestamp")
    found = zip(*(cleaned.accepted[name].to_pylist() for name in names), strict=True)
    assert list(found) == [(*row[:3], row[3] if times else 0) for row in rows]
    line = reading.recognised(options.edition, raw, cleaned)
    assert ("no header" in line) == (not header)


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
    assert line.endswith("seconds" if name == "whole floats" else name)
