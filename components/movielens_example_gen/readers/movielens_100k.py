"""MovieLens-100K: as published, or in three Parquet files in the row order of `u.data`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from components.movielens_example_gen.options import Dialect
from components.movielens_example_gen.readers import delimited
from components.movielens_example_gen.readers.csv_folder import RATING_ROLES, read_headless_ratings
from components.movielens_example_gen.readers.edition import Edition, Files, RawRatings
from components.movielens_example_gen.readers.parquet_folder import read_table
from models import features

_RATINGS: Final = "u.data"
_MOVIES: Final = "u.item"
_USERS: Final = "u.user"
_PARQUET_RATINGS: Final = "MovieLens100k_data.parquet.brotli"
_PARQUET_MOVIES: Final = "MovieLens100k_items.parquet.brotli"
_PARQUET_USERS: Final = "MovieLens100k_users.parquet.brotli"

_GENRES = (
    "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller",
    "War", "Western",
)  # fmt: skip
_MOVIE_COLUMNS = (
    features.MOVIE_ID, features.MOVIE_TITLE, "release_date", "video_release_date", "IMDb_URL",
    "unknown", *_GENRES,
)  # fmt: skip
_USER_COLUMNS = (features.USER_ID, "age", "gender", "occupation", "zip_code")


def read(files: Files, dialect: Dialect) -> RawRatings:
    """Reads the published files or the Parquet files.

    Raises:
        DataError: A file is damaged or lacks a column.
    """
    return _read_text(files, dialect) if _RATINGS in files else _read_parquet(files)


def _read_text(files: Files, dialect: Dialect) -> RawRatings:
    return _described(
        read_headless_ratings(files[_RATINGS].path, "\t", dialect),
        _bars(files[_MOVIES].path, _MOVIE_COLUMNS),
        _bars(files[_USERS].path, _USER_COLUMNS),
    )


def _read_parquet(files: Files) -> RawRatings:
    movie_columns = [features.MOVIE_ID, features.MOVIE_TITLE, *_GENRES]
    return _described(
        RawRatings(read_table(files[_PARQUET_RATINGS].path, list(RATING_ROLES.values()))),
        read_table(files[_PARQUET_MOVIES].path, movie_columns),
        read_table(files[_PARQUET_USERS].path, [features.USER_ID, "age", "gender", "occupation"]),
    )


def _bars(path: str, columns: Sequence[str]) -> pa.Table:
    """Returns a file with `|` between two fields, which has neither header nor quotes."""
    return delimited.read_columns(path, columns, "|")


def _described(raw: RawRatings, movies: pa.Table, users: pa.Table) -> RawRatings:
    """Returns ratings with what describes their movies and users."""
    return dataclasses.replace(
        raw,
        movies=pa.table(
            {
                features.MOVIE_ID: movies[features.MOVIE_ID].cast(pa.string()),
                features.MOVIE_TITLE: movies[features.MOVIE_TITLE],
                features.MOVIE_GENRES: _genre_lists(movies),
            }
        ),
        users=pa.table(
            {
                features.USER_ID: users[features.USER_ID].cast(pa.string()),
                features.USER_AGE: users["age"].cast(pa.int64()),
                features.USER_GENDER: users["gender"],
                features.USER_OCCUPATION: users["occupation"],
            }
        ),
    )


def _genre_lists(movies: pa.Table) -> pa.Array:
    """Returns the names of the genres whose 0/1 column is set, a list for each movie."""
    flags = [pc.equal(movies[genre].cast(pa.int64()), 1).to_pylist() for genre in _GENRES]
    rows = zip(*flags, strict=True)
    return pa.array(
        [[g for g, flag in zip(_GENRES, row, strict=True) if flag] for row in rows],
        pa.list_(pa.string()),
    )


EDITION = Edition(
    description="MovieLens-100K: 943 users, 1997-98; the default, installed",
    read=read,
    files=(_PARQUET_RATINGS, _PARQUET_MOVIES, _PARQUET_USERS),
    other_files=(_RATINGS, _MOVIES, _USERS),
    rating_range=(1.0, 5.0),
)
