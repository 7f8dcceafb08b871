"""MovieLens 1M and 10M: files without a header, with `::` between two fields."""

from __future__ import annotations

from typing import Final

from components.movielens_example_gen.options import Dialect
from components.movielens_example_gen.readers import delimited
from components.movielens_example_gen.readers.csv_folder import movie_table, read_headless_ratings
from components.movielens_example_gen.readers.edition import Edition, Files, RawRatings

_RATINGS: Final = "ratings.dat"
_MOVIES: Final = "movies.dat"


def read(files: Files, dialect: Dialect) -> RawRatings:
    """Reads the ratings and, if they are there, the movies.

    Raises:
        DataError: A file is damaged.
    """
    ratings, cut_row = read_headless_ratings(files[_RATINGS], "::", dialect)
    movies = None
    if _MOVIES in files:
        movies = delimited.read(
            files[_MOVIES],
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
    return RawRatings(
        ratings=ratings,
        movies=None if movies is None else movie_table(movies.columns),
        cut_row=cut_row,
    )


def edition(description: str, rating_range: tuple[float, float]) -> Edition:
    """Returns an edition with these files."""
    return Edition(
        description=description,
        read=read,
        files=(_RATINGS,),
        optional_files=(_MOVIES,),
        rating_range=rating_range,
    )
