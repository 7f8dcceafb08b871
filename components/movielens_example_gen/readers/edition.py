"""The types that every reader provides: an edition of the ratings, and its raw tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class RawRatings:
    """Tables of one edition, in the files' own order, before any row is checked.

    Attributes:
        ratings: `user_id`, `movie_id`, `rating` and `timestamp`, strings or numbers as in the
            files.
        movies: `movie_id` string (unique), `movie_title` string, `movie_genres` list of string.
        users: `user_id` string (unique), `user_age` int64, `user_gender` string and
            `user_occupation` string; None if the edition does not describe its users.
    """

    ratings: pa.Table
    movies: pa.Table
    users: pa.Table | None = None


@dataclass(frozen=True)
class Edition:
    """A form in which ratings are published.

    Attributes:
        description: One line for `movierec datasets`.
        read: Function that reads a folder.
        files: Names of the files in the folder.
        rating_min: Lowest rating in stars.
        rating_max: Highest rating in stars.
    """

    description: str
    read: Callable[[str], RawRatings]
    files: tuple[str, ...]
    rating_min: float
    rating_max: float
