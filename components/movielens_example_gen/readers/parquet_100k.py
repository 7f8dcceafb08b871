"""MovieLens-100K in three Parquet files, in the row order of the original `u.data`."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import DataError
from components.movielens_example_gen.readers.edition import Edition, RawRatings
from models import features

_RATINGS = "MovieLens100k_data.parquet.brotli"
_MOVIES = "MovieLens100k_items.parquet.brotli"
_USERS = "MovieLens100k_users.parquet.brotli"

_GENRES = (
    "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller",
    "War", "Western",
)  # fmt: skip


def read(folder: str) -> RawRatings:
    """Reads the edition from a folder.

    Raises:
        DataError: A file is missing, is not Parquet or lacks a column.
    """
    rating_columns = [features.USER_ID, features.MOVIE_ID, features.RATING, features.TIMESTAMP]
    ratings = _read_parquet(folder, _RATINGS, rating_columns)
    movies = _read_parquet(folder, _MOVIES, [features.MOVIE_ID, features.MOVIE_TITLE, *_GENRES])
    users = _read_parquet(folder, _USERS, [features.USER_ID, "age", "gender", "occupation"])
    return RawRatings(
        ratings=ratings,
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
                features.USER_AGE: users["age"],
                features.USER_GENDER: users["gender"],
                features.USER_OCCUPATION: users["occupation"],
            }
        ),
    )


def _read_parquet(folder: str, name: str, columns: list[str]) -> pa.Table:
    path = os.path.join(folder, name)
    try:
        present = pq.read_schema(path).names
        missing = [column for column in columns if column not in present]
        if missing:
            raise DataError(f"{name}: no column {', '.join(missing)}; it has {', '.join(present)}")
        return pq.read_table(path, columns=columns)
    except FileNotFoundError as error:
        raise DataError(f"{name}: not found in {folder}") from error
    except pa.ArrowInvalid as error:
        raise DataError(f"{name}: not a readable Parquet file ({error})") from error


def _genre_lists(movies: pa.Table) -> pa.Array:
    """Returns the names of the genres whose 0/1 column is set, a list for each movie."""
    flags = [pc.equal(movies[genre], 1).to_pylist() for genre in _GENRES]
    rows = zip(*flags, strict=True)
    return pa.array(
        [[g for g, flag in zip(_GENRES, row, strict=True) if flag] for row in rows],
        pa.list_(pa.string()),
    )


EDITION = Edition(
    description="MovieLens-100K: 100,000 ratings by 943 users of 1,682 movies, 1997-98; installed",
    read=read,
    files=(_RATINGS, _MOVIES, _USERS),
    rating_min=1.0,
    rating_max=5.0,
)
