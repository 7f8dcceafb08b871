"""Statistics of the training ratings, from which models are built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import features
from models.columns import Columns, in_parts, row_count
from models.seen_movies import SeenMovies, seen_movies
from models.side_features import NO_SIDES, Sides


@dataclass(frozen=True)
class RatingStatistics:
    """Sizes of the vocabularies and statistics of the training ratings, in stars.

    Attributes:
        users: Number of known users.
        movies: Number of known movies.
        ratings: Number of ratings.
        rating_mean: Mean rating.
        rating_min: Lowest rating.
        rating_max: Highest rating.
        rating_stddev: Standard deviation of the ratings.
        movie_rating_count: Number of ratings of each movie, int64 `[movies]`.
        movie_rating_mean: Mean rating of each movie, float64 `[movies]`; `rating_mean` for a movie
            without ratings.
        seen: Movies that each user rated.
        sides: Side features of the users and movies.
    """

    users: int
    movies: int
    ratings: int
    rating_mean: float
    rating_min: float
    rating_max: float
    rating_stddev: float
    movie_rating_count: np.ndarray[Any, np.dtype[np.int64]]
    movie_rating_mean: np.ndarray[Any, np.dtype[np.float64]]
    seen: SeenMovies
    sides: Sides = NO_SIDES


def measure(
    ratings: Columns,
    users: int,
    movies: int,
    rating_mean: float | None = None,
    sides: Sides = NO_SIDES,
) -> RatingStatistics:
    """Returns the statistics of ratings whose users and movies are known.

    Args:
        ratings: `user_index`, `movie_index` and `rating`, at least one rating.
        users: Number of known users.
        movies: Number of known movies.
        rating_mean: Mean rating where `ratings` are only a part; None computes it.
        sides: Side features of the users and movies.
    """
    counts, sums = np.zeros(movies, np.int64), np.zeros(movies)
    squares = 0.0
    for part in in_parts(ratings):
        counts += np.bincount(part[features.MOVIE_INDEX], minlength=movies)
        sums += np.bincount(part[features.MOVIE_INDEX], part[features.RATING], minlength=movies)
        squares += float(np.sum(np.square(part[features.RATING], dtype=np.float64)))
    if rating_mean is None:
        rating_mean = float(sums.sum() / counts.sum())
    return RatingStatistics(
        users=users,
        movies=movies,
        ratings=row_count(ratings),
        rating_mean=rating_mean,
        rating_min=float(ratings[features.RATING].min()),
        rating_max=float(ratings[features.RATING].max()),
        rating_stddev=math.sqrt(
            max(0.0, squares / counts.sum() - (sums.sum() / counts.sum()) ** 2)
        ),
        movie_rating_count=counts,
        movie_rating_mean=np.where(counts > 0, sums / np.maximum(counts, 1), rating_mean),
        seen=seen_movies(ratings, users),
        sides=sides,
    )
