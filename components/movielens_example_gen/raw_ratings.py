"""Ratings and catalogue as they stand in the files, before any check of a row."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class RawRatings:
    """Tables of one edition, in the files' own order.

    Attributes:
        ratings: `user_id`, `movie_id`, `rating`, `timestamp`: strings or numbers, as found.
        movies: `movie_id` string (unique), `movie_title` string, `movie_genres` list of string.
        users: `user_id` string (unique), `user_age` int64, `user_gender` string and
            `user_occupation` string; None where the edition does not describe its users.
    """

    ratings: pa.Table
    movies: pa.Table
    users: pa.Table | None = None
