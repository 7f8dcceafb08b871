"""Folders with `ratings.csv` and `movies.csv`, the form of MovieLens 20M and later."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from components.errors import DataError
from components.movielens_example_gen.readers.edition import Edition, RawRatings
from models import features

_RATINGS = "ratings.csv"
_MOVIES = "movies.csv"
_NO_GENRES = "(no genres listed)"
_SNIFFED_BYTES = 65_536


def read(folder: str) -> RawRatings:
    """Reads the two files.

    Raises:
        DataError: A file is missing, empty or not UTF-8 CSV, lacks a column, or has a line with a
            wrong number of fields (the sign of a file that was cut).
    """
    ratings = _read_csv(folder, _RATINGS, ["userId", "movieId", "rating", "timestamp"])
    movies = _read_csv(folder, _MOVIES, ["movieId", "title", "genres"])
    return RawRatings(
        ratings=ratings.rename_columns(
            [features.USER_ID, features.MOVIE_ID, features.RATING, features.TIMESTAMP]
        ),
        movies=_first_of_each_movie(
            pa.table(
                {
                    features.MOVIE_ID: movies["movieId"],
                    features.MOVIE_TITLE: movies["title"],
                    features.MOVIE_GENRES: _genre_lists(movies["genres"]),
                }
            )
        ),
    )


def _read_csv(folder: str, name: str, columns: list[str]) -> pa.Table:
    """Returns the named columns as strings; an empty field is null."""
    path = os.path.join(folder, name)
    broken_lines: list[pa.csv.InvalidRow] = []

    def note(row: pa.csv.InvalidRow) -> str:
        broken_lines.append(row)
        return "skip"

    try:
        if not os.path.getsize(path):
            raise DataError(f"{name}: the file is empty")
        present = pa.csv.open_csv(path, parse_options=_parse_options(note)).schema.names
        missing = [column for column in columns if column not in present]
        if missing:
            first_line = ", ".join(column[:40] for column in present[:10])
            raise DataError(
                f"{name}: no column {', '.join(missing)}; the first line has {first_line}"
            )
        broken_lines.clear()
        table = pa.csv.read_csv(
            path,
            # With one thread only do invalid rows carry their line number.
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=_parse_options(note),
            convert_options=pa.csv.ConvertOptions(
                column_types={column: pa.string() for column in columns},
                include_columns=columns,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except FileNotFoundError as error:
        raise DataError(f"{name}: not found in {folder}") from error
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{name}: {_why_unreadable(path, error)}") from error
    if broken_lines:
        first = broken_lines[0]
        raise DataError(
            f"{name}: line {first.number} has {first.actual_columns} fields instead of "
            f"{first.expected_columns} ({first.text[:60]!r}), {len(broken_lines)} such lines in "
            f"all: the file was cut or damaged"
        )
    return table


def _why_unreadable(path: str, error: Exception) -> str:
    with open(path, "rb") as file:
        start = file.read(_SNIFFED_BYTES)
    if b"\0" in start:
        return "not a text file"
    if not start.strip():
        return "the file has only blank lines"
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        return "not UTF-8; a latin-1 file is converted with `iconv -f latin1 -t utf-8`"
    if start.count(b"\n") < 2:  # noqa: PLR2004
        return "the file has no rows"
    return f"cannot be read as CSV ({str(error)[:80]!r})"


def _parse_options(note: object) -> pa.csv.ParseOptions:
    return pa.csv.ParseOptions(invalid_row_handler=note)


def _genre_lists(genres: pa.ChunkedArray) -> pa.ChunkedArray:
    """Splits `"Comedy|Drama"` into `["Comedy", "Drama"]`; no genres give an empty list."""
    empty = pc.or_kleene(pc.is_null(genres), pc.equal(genres, _NO_GENRES))
    lists = pc.split_pattern(pc.fill_null(genres, ""), "|")
    nothing = pa.scalar([], pa.list_(pa.string()))
    return pc.if_else(pc.fill_null(empty, True), nothing, lists)


def _first_of_each_movie(movies: pa.Table) -> pa.Table:
    positions = pa.table(
        {"id": movies[features.MOVIE_ID], "position": pa.array(range(len(movies)), pa.int64())}
    )
    first = positions.group_by("id").aggregate([("position", "min")])["position_min"]
    return movies.take(first.take(pc.sort_indices(first)))


EDITION = Edition(
    description="your own ratings, or MovieLens 20M and later; needs data.path",
    read=read,
    files=(_RATINGS, _MOVIES),
    rating_min=0.5,
    rating_max=5.0,
)
