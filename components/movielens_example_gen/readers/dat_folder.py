"""MovieLens 1M and 10M: files without a header, with `::` between two fields."""

from __future__ import annotations

import dataclasses
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from components.movielens_example_gen import normalising
from components.movielens_example_gen.options import Dialect
from components.movielens_example_gen.readers import delimited
from components.movielens_example_gen.readers.csv_folder import movie_table, read_headless_ratings
from components.movielens_example_gen.readers.edition import Edition, Files, RawRatings
from models import features

_RATINGS: Final = "ratings.dat"
_MOVIES: Final = "movies.dat"
_USERS: Final = "users.dat"

_OCCUPATIONS: Final = (
    "other", "educator", "artist", "administrator", "college student", "customer service",
    "healthcare", "executive", "farmer", "homemaker", "student", "lawyer", "programmer", "retired",
    "marketing", "scientist", "self-employed", "engineer", "craftsman", "none", "writer",
)  # fmt: skip
"""Names of 1M's occupations, 100K's where there is one, by the numbers in `users.dat`."""


def read(files: Files, dialect: Dialect) -> RawRatings:
    """Reads the ratings and, if they are there, the movies and the users.

    Raises:
        DataError: A file is damaged.
    """
    raw = read_headless_ratings(files[_RATINGS].path, "::", dialect)
    movies = None
    if _MOVIES in files:
        movies = delimited.read(
            files[_MOVIES].path,
            delimited.Format(
                roles=("movie", "title", "genres"),
                required=("movie",),
                delimiter="::",
                header=False,
                quoting=False,
                # 1M is Latin-1, 10M is UTF-8.
                latin_1=True,
            ),
            Dialect(),
        )
    return dataclasses.replace(
        raw,
        movies=None if movies is None else movie_table(movies.columns),
        users=_users(files[_USERS].path) if _USERS in files else None,
    )


def _users(path: str) -> pa.Table:
    """Returns 1M's users; an age is the lowest of its group, 1 of those under 18."""
    columns = (features.USER_ID, features.USER_GENDER, "age", "occupation", "zip_code")
    table = delimited.read_columns(path, columns, "::")
    numbers = normalising.numbers(table["occupation"])
    return pa.table(
        {
            features.USER_ID: normalising.ids(table[features.USER_ID]).dictionary_decode(),
            features.USER_AGE: pc.cast(normalising.numbers(table["age"]), pa.int64(), safe=False),
            features.USER_GENDER: table[features.USER_GENDER],
            features.USER_OCCUPATION: pa.array(_OCCUPATIONS).take(
                pc.index_in(numbers, value_set=pa.array(map(float, range(len(_OCCUPATIONS)))))
            ),
        }
    )


def edition(description: str, rating_range: tuple[float, float], users: bool = False) -> Edition:
    """Returns an edition with these files, 1M's with users."""
    return Edition(
        description=description,
        read=read,
        files=(_RATINGS,),
        optional_files=(_MOVIES, _USERS) if users else (_MOVIES,),
        rating_range=rating_range,
    )
