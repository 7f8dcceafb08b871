"""The types that every reader provides: an edition of the ratings, and its raw tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from components.movielens_example_gen.options import Dialect


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        path: Path of the file.
        name: Name of the file, with the folders below `data.path` that have values, as in
            `date=2026-11-22/part-0.csv`.
    """

    path: str
    name: str


Files = Mapping[str, InputFile]
"""An edition's files on this machine, by the names that `Edition` gives them.

Ratings in several files have `files[0]`, then `files[0]/1` and so on.
"""


@dataclass(frozen=True)
class RawRatings:
    """Tables of one edition, in the files' own order, before any row is checked.

    Attributes:
        ratings: `user_id`, `movie_id`, `rating` and, unless the file has none, `timestamp`, strings
            or numbers as in the files.
        movies: `movie_id`, `movie_title` string, `movie_genres` list of string; None if nothing
            describes the movies.
        users: `user_id`, `user_age` int64, `user_gender` string and `user_occupation` string; None
            if nothing describes the users.
        header: Names of the ratings' columns in their file; empty if it has no header.
        cut_rows: Positions of last rows of files that may be cut.
        recognised: Phrases for people on what was recognised in the files.
        blank_lines: Number of lines of the ratings without a row, if there are many.
        span_rows: Number of rows of each span; empty for a path without spans.
        file_rows: Number of rows of each file, where there are several.
    """

    ratings: pa.Table
    movies: pa.Table | None = None
    users: pa.Table | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    cut_rows: tuple[int, ...] = ()
    recognised: tuple[str, ...] = ()
    blank_lines: int = 0
    span_rows: tuple[int, ...] = ()
    file_rows: tuple[int, ...] = ()


def stacked(tables: Sequence[pa.Table]) -> pa.Table | None:
    """Returns the rows of all tables; None if their columns do not go together.

    Whole numbers go with floats, since pandas writes floats where a value is missing, one week and
    not the next. A column without any value goes with all.
    """
    if any(table.column_names != tables[0].column_names for table in tables):
        return None
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


@dataclass(frozen=True)
class Edition:
    """A form in which ratings are published.

    Attributes:
        description: One line for `movierec datasets`.
        read: Function that reads the files.
        files: Names of the files that must be there, the ratings first.
        optional_files: Names of files that are read if they are there.
        other_files: Names of the files of another form of the edition, instead of `files`.
        suffixes: Ends of the names of files that hold the ratings if none has their name; empty if
            names are fixed.
        part_prefix: Start of the names of several such files that hold the ratings together; None
            if only one may.
        rating_range: Lowest and highest rating in stars; None if it depends on the data.
        read_movies: Function that reads the first of `optional_files` alone, from its path; None if
            it stands beside no spans.
    """

    description: str
    read: Callable[[Files, Dialect], RawRatings]
    files: tuple[str, ...]
    optional_files: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    part_prefix: str | None = None
    rating_range: tuple[float, float] | None = None
    read_movies: Callable[[str, Dialect], pa.Table] | None = None
