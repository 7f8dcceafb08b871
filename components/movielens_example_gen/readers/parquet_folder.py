"""Ratings in Parquet: one file, or a folder as pandas and Spark write it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import DataError
from components.movielens_example_gen.options import Dialect, Role
from components.movielens_example_gen.readers import delimited
from components.movielens_example_gen.readers.csv_folder import RATING_ROLES, movie_table
from components.movielens_example_gen.readers.edition import Edition, Files, RawRatings

RATINGS: Final = "ratings.parquet"
MOVIES: Final = "movies.parquet"


def read_table(path: str, columns: Sequence[str]) -> pa.Table:
    """Returns the named columns of a file.

    Raises:
        DataError: The file is missing, is not Parquet or lacks a column.
    """
    name = os.path.basename(path)
    present = _names(path)
    missing = [column for column in columns if column not in present]
    if missing:
        raise DataError(f"{name}: no column {', '.join(missing)}; it has {', '.join(present)}")
    try:
        return pq.ParquetFile(path).read(columns=list(columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name}: not a readable Parquet file ({error})") from error


def read(files: Files, dialect: Dialect) -> RawRatings:
    """Reads the ratings and, if they are there, the movies.

    Raises:
        DataError: A file is not Parquet or lacks a column.
    """
    parts = [path for name, path in files.items() if name != MOVIES]
    tables = [_ratings(path, dialect) for path in parts]
    if any(table.schema != tables[0].schema for table in tables):
        raise DataError(
            f"{os.path.dirname(parts[0])}: the columns of its Parquet files differ: give the one "
            "with the ratings as data.path"
        )
    movies = None
    if MOVIES in files:
        movies = _columns(files[MOVIES], ("movie", "title", "genres"), ("movie",), Dialect())
    return RawRatings(
        ratings=pa.concat_tables(tables),
        movies=None if movies is None else movie_table(movies),
        recognised=(
            os.path.basename(parts[0]) if len(parts) == 1 else f"{len(parts)} Parquet files",
        ),
    )


def _ratings(path: str, dialect: Dialect) -> pa.Table:
    columns = _columns(path, tuple(RATING_ROLES), ("user", "movie", "rating"), dialect)
    return pa.table({RATING_ROLES[role]: _plain(column) for role, column in columns.items()})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns categories, and the long text of Polars, as plain text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string()) if pa.types.is_large_string(column.type) else column


def _columns(
    path: str, roles: Sequence[Role], required: Sequence[Role], dialect: Dialect
) -> dict[Role, pa.ChunkedArray]:
    """Returns the columns by what they are."""
    form = delimited.Format(roles, required, also={"movie": frozenset({"id"})})
    positions = delimited.positions(_names(path), form, dialect, os.path.basename(path))
    names = [_names(path)[at] for at in positions.values()]
    table = read_table(path, names)
    return {role: table[name] for role, name in zip(positions, names, strict=True)}


def _names(path: str) -> list[str]:
    name = os.path.basename(path)
    try:
        return list(pq.read_schema(path).names)
    except FileNotFoundError as error:
        raise DataError(f"{name}: not found in {os.path.dirname(path)}") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name}: not a readable Parquet file ({error})") from error


EDITION = Edition(
    description="your own ratings in Parquet, in a folder or one file",
    read=read,
    files=(RATINGS,),
    optional_files=(MOVIES,),
    suffixes=(".parquet",),
    part_prefix="",
)
