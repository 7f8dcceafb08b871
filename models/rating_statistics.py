"""What a rating model must know about the training ratings before it can be built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models import features
from models.columns import Columns, in_parts, row_count
from models.seen_movies import SeenMovies, seen_movies


@dataclass(frozen=True)
class RatingStatistics:
    """Sizes of the vocabularies and statistics of the training ratings, in stars.

    Attributes:
        users: in the vocabulary.
        movies: in the vocabulary.
        ratings: how many there are.
        rating_mean: of all ratings.
        rating_min: the lowest one.
        rating_max: the highest one.
        movie_rating_count: of each movie, `[movies]`.
        movie_rating_mean: of each movie, `[movies]`; the mean of all for a movie without a rating.
        seen: which movies each user rated.
    """

    users: int
    movies: int
    ratings: int
    rating_mean: float
    rating_min: float
    rating_max: float
    movie_rating_count: np.ndarray[Any, np.dtype[np.int64]]
    movie_rating_mean: np.ndarray[Any, np.dtype[np.float64]]
    seen: SeenMovies


def measure(
    ratings: Columns, users: int, movies: int, rating_mean: float | None = None
) -> RatingStatistics:
    """The statistics of ratings whose users and movies are in the vocabulary.

    Args:
        ratings: `user_index`, `movie_index` and `rating`; at least one.
        users: in the vocabulary.
        movies: in the vocabulary.
        rating_mean: of the ratings that these are a part of; None if these are all.
    """
    counts, sums = np.zeros(movies, np.int64), np.zeros(movies)
    for part in in_parts(ratings):
        counts += np.bincount(part[features.MOVIE_INDEX], minlength=movies)
        sums += np.bincount(part[features.MOVIE_INDEX], part[features.RATING], minlength=movies)
    if rating_mean is None:
        rating_mean = float(sums.sum() / counts.sum())
    return RatingStatistics(
        users=users,
        movies=movies,
        ratings=row_count(ratings),
        rating_mean=rating_mean,
        rating_min=float(ratings[features.RATING].min()),
        rating_max=float(ratings[features.RATING].max()),
        movie_rating_count=counts,
        movie_rating_mean=np.where(counts > 0, sums / np.maximum(counts, 1), rating_mean),
        seen=seen_movies(ratings, users),
    )
