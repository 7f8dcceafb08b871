"""Ratings in delimited text, and movies beside them: MovieLens 20M and later, and your own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.movielens_example_gen import normalising
from components.movielens_example_gen.options import Dialect, Role
from components.movielens_example_gen.readers import delimited
from components.movielens_example_gen.readers.edition import Edition, Files, RawRatings
from models import features

RATINGS: Final = "ratings.csv"
MOVIES: Final = "movies.csv"

RATING_ROLES: Final[Mapping[Role, str]] = {
    "user": features.USER_ID,
    "movie": features.MOVIE_ID,
    "rating": features.RATING,
    "timestamp": features.TIMESTAMP,
}
"""Features of a rating by what their column is."""


def read(files: Files, dialect: Dialect) -> RawRatings:
    """Reads the ratings and, if they are there, the movies.

    Raises:
        DataError: A file cannot be read as a table with the columns of ratings or of movies.
    """
    parts = [file for name, file in files.items() if name != MOVIES]
    form = delimited.Format(
        roles=("user", "movie", "rating", "timestamp"),
        required=("user", "movie", "rating"),
        by_name=() if MOVIES in files else ("title", "genres"),
    )
    ratings = delimited.read_parts(parts, form, dialect)
    movies = None
    if MOVIES in files:
        movies = read_movies(files[MOVIES].path, dialect)
    elif {"title", "genres"} & set(ratings.columns):
        movies = movie_table(ratings.columns)
    return RawRatings(
        ratings=pa.table(
            {
                feature: ratings.columns[role]
                for role, feature in RATING_ROLES.items()
                if role in ratings.columns
            }
        ),
        movies=movies,
        header={
            feature: ratings.header[role]
            for role, feature in RATING_ROLES.items()
            if role in ratings.header
        },
        cut_rows=ratings.cut_rows,
        recognised=(
            os.path.basename(parts[0].name) if len(parts) == 1 else f"{len(parts)} files",
            *ratings.recognised,
        ),
        blank_lines=ratings.blank_lines,
        file_rows=ratings.part_rows,
    )


def read_movies(path: str, dialect: Dialect) -> pa.Table:
    """Returns the movies of a file.

    Raises:
        DataError: It cannot be read as a table of movies.
    """
    return movie_table(delimited.read(path, *movies_form(dialect)).columns)


def read_headless_ratings(path: str, delimiter: str, dialect: Dialect) -> RawRatings:
    """Reads a published file of ratings, which has all four columns and neither header nor quotes.

    Args:
        path: Path of the file on this machine.
        delimiter: Text between two fields.
        dialect: What is set of the dialect.

    Raises:
        DataError: The file is damaged.
    """
    ratings = delimited.read(
        path,
        delimited.Format(
            roles=tuple(RATING_ROLES),
            required=tuple(RATING_ROLES),
            delimiter=delimiter,
            header=False,
            quoting=False,
        ),
        dialect,
    )
    return RawRatings(
        ratings=pa.table(
            {feature: ratings.columns[role] for role, feature in RATING_ROLES.items()}
        ),
        cut_rows=ratings.cut_rows,
        blank_lines=ratings.blank_lines,
    )


def movies_form(dialect: Dialect) -> tuple[delimited.Format, Dialect]:
    """Returns what is known of a table of movies, and what the user says of it.

    Args:
        dialect: What the user says of the ratings; a name of their movies counts here too.
    """
    form = delimited.Format(
        roles=("movie", "title", "genres"),
        required=("movie",),
        before={role: name for role, name in dialect.columns.items() if role == "movie"},
        after={"movie": "id"},
    )
    described: dict[Role, str] = {
        role: name for role, name in dialect.columns.items() if role in ("title", "genres")
    }
    return form, Dialect(columns=described)


def movie_table(columns: Mapping[Role, pa.ChunkedArray]) -> pa.Table:
    """Returns the movies by id; of two lines for a movie, the first counts.

    Args:
        columns: Texts by what they are; genres are separated by `|`.
    """
    ids = normalising.ids(columns["movie"]).dictionary_decode()
    nothing = pa.chunked_array([pa.nulls(len(ids), pa.string())])
    table = pa.table(
        {
            features.MOVIE_ID: ids,
            features.MOVIE_TITLE: normalising.titles(columns.get("title", nothing)),
            features.MOVIE_GENRES: normalising.genres(columns.get("genres", nothing)),
        }
    )
    return first_of_each(table, features.MOVIE_ID)


def first_of_each(table: pa.Table, key: str) -> pa.Table:
    """Returns the first row of each key that is not null, in the same order."""
    positions = pa.table({"id": table[key], "at": np.arange(len(table))})
    positions = positions.filter(pc.is_valid(positions["id"]))
    first = positions.group_by("id").aggregate([("at", "min")])["at_min"]
    return table.take(first.take(pc.sort_indices(first)))


def edition(description: str, rating_range: tuple[float, float] | None) -> Edition:
    """Returns an edition with the files of MovieLens 20M."""
    return Edition(
        description=description,
        read=read,
        files=(RATINGS,),
        optional_files=(MOVIES,),
        suffixes=(".csv", ".tsv", ".txt", ".dat", ".inter") if rating_range is None else (),
        part_prefix="part-",
        rating_range=rating_range,
        read_movies=read_movies,
    )


EDITION = edition("your own ratings as delimited text, in a folder or one file", None)
