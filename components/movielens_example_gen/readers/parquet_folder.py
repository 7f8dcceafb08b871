"""Ratings in Parquet: one file, or a folder as pandas and Spark write it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import DataError
from components.movielens_example_gen import normalising
from components.movielens_example_gen.options import Dialect, Role
from components.movielens_example_gen.readers import delimited, partitions
from components.movielens_example_gen.readers.csv_folder import (
    RATING_ROLES,
    movie_table,
    movies_form,
)
from components.movielens_example_gen.readers.edition import (
    Edition,
    Files,
    InputFile,
    RawRatings,
    stacked,
)

_TEXTS: Final = (
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)

_PLAIN: Final = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_timestamp,
    pa.types.is_date,
)

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
    parts = [file for name, file in files.items() if name != MOVIES]
    by_name: Sequence[Role] = () if MOVIES in files else ("title", "genres")
    tables = [_part(file, by_name, dialect) for file in parts]
    first, place = tables[0], os.path.dirname(parts[0].path)
    for file, table in zip(parts, tables, strict=True):
        if stacked([first, table]) is None:
            raise DataError(
                f"{place}: the columns of the Parquet files differ: "
                f"{_described(first.schema)} in {parts[0].name} "
                f"and {_described(table.schema)} in {file.name}; write all alike, or give the one "
                "with the ratings as data.path"
            )
    everything = stacked(tables)
    if everything is None:
        raise DataError(f"{place}: the columns of the Parquet files differ: write all alike")
    movies = None
    if MOVIES in files:
        movies = read_movies(files[MOVIES].path, dialect)
    elif present := [role for role in by_name if role in everything.column_names]:
        ids: dict[Role, pa.ChunkedArray] = {"movie": everything[RATING_ROLES["movie"]]}
        movies = movie_table(ids | {role: everything[role] for role in present})
    own = [name for name in RATING_ROLES.values() if name in everything.column_names]
    return RawRatings(
        ratings=everything.select(own),
        file_rows=tuple(table.num_rows for table in tables),
        movies=movies,
        recognised=(
            os.path.basename(parts[0].name) if len(parts) == 1 else f"{len(parts)} Parquet files",
        ),
    )


def read_movies(path: str, dialect: Dialect) -> pa.Table:
    """Returns the movies of a file.

    Raises:
        DataError: It is no Parquet, or lacks a column.
    """
    return movie_table(_columns(path, *movies_form(dialect)))


def _part(file: InputFile, by_name: Sequence[Role], dialect: Dialect) -> pa.Table:
    """Returns the ratings of a file, and the columns on their movies by what they are."""
    form = delimited.Format(
        roles=tuple(RATING_ROLES),
        required=("user", "movie", "rating"),
        by_name=by_name,
        folders=partitions.values(file.name),
    )
    columns = _columns(file.path, form, dialect)
    roles = [role for role in (*RATING_ROLES, *by_name) if role in columns]
    return pa.table({RATING_ROLES.get(role, role): columns[role] for role in roles})


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _plain(column: pa.ChunkedArray, role: Role, path: str) -> pa.ChunkedArray:
    """Returns a column in one of few types, so that files of several programs go together.

    Raises:
        DataError: The column holds lists or the like and no genres, bytes that are no text, or what
            is no number, text or time.
    """
    if role == "genres" and normalising.is_list(column.type):
        return column
    place = f"{os.path.basename(path)}: the column of the {role} has"
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if any(is_kind(kind) for is_kind in _TEXTS):
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid as error:
            raise DataError(f"{place} bytes that are not UTF-8: write it as text") from error
    if not any(is_kind(kind) for is_kind in _PLAIN):
        raise DataError(f"{place} {kind}: expected numbers, text or times")
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us"), safe=False)
    is_small = pa.types.is_integer(kind) and kind != pa.uint64()
    return column.cast(pa.int64()) if is_small else column


def _columns(path: str, form: delimited.Format, dialect: Dialect) -> dict[Role, pa.ChunkedArray]:
    """Returns the columns by what they are; the names of folders have some, the file the others."""
    names = _names(path)
    constants = delimited.constants(names, form, dialect)
    try:
        at = delimited.positions(names, delimited.without(form, constants), dialect, "Parquet")
    except DataError as error:
        raise DataError(f"{os.path.basename(path)}: {error}") from error
    table = read_table(path, [names[number] for number in at.values()])
    columns = {role: _plain(table[names[number]], role, path) for role, number in at.items()}
    return columns | delimited.repeated(constants, table.num_rows)


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
    read_movies=read_movies,
)
