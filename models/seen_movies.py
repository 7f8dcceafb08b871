"""The movies that each user rated in training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns


@dataclass(frozen=True)
class SeenMovies:
    """A ragged table of movies, with a row for each user.

    Attributes:
        movie_index: Movies of all users, user by user, int32 `[ratings]`.
        rating: Rating of each, in stars, float32 `[ratings]`.
        row_splits: Start of each row, and the end, int64 `[users + 2]`. The last row is the
            unknown user's and is empty.
    """

    movie_index: np.ndarray[Any, np.dtype[np.int32]]
    rating: np.ndarray[Any, np.dtype[np.float32]]
    row_splits: np.ndarray[Any, np.dtype[np.int64]]

    def as_ragged(self) -> tf.RaggedTensor:
        """Returns the table as a ragged tensor, int32 `[users + 1, (movies)]`."""
        return tf.RaggedTensor.from_row_splits(self.movie_index, self.row_splits)


def newest(seen: SeenMovies, limit: int, rated: Iterable[Columns]) -> SeenMovies:
    """Returns the newest movies of each user.

    Args:
        seen: All movies of each user.
        limit: Largest number of movies of a user, at least 1.
        rated: The same ratings with `rated_at`, in any order. They are read only if a user exceeds
            the limit.
    """
    counts = np.diff(seen.row_splits)
    has_more = counts > limit
    if not has_more.any():
        return seen
    theirs = [
        {name: values[has_more[part[features.USER_INDEX]]] for name, values in part.items()}
        for part in rated
    ]
    user, movie, rating, time = (
        np.concatenate([part[name] for part in theirs])
        for name in (
            features.USER_INDEX,
            features.MOVIE_INDEX,
            features.RATING,
            features.RATED_AT,
        )
    )
    order = np.lexsort((movie, -time, user))
    user, movie, rating = user[order], movie[order], rating[order]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    others = np.repeat(~has_more, counts)
    users = len(counts) - 1
    return seen_movies(
        {
            features.USER_INDEX: np.concatenate(
                [np.repeat(np.arange(users + 1), counts)[others], user[place < limit]]
            ),
            features.MOVIE_INDEX: np.concatenate([seen.movie_index[others], movie[place < limit]]),
            features.RATING: np.concatenate([seen.rating[others], rating[place < limit]]),
        },
        users,
    )


def ratings_of(seen: SeenMovies) -> Columns:
    """Returns `user_index`, `movie_index` and `rating` of the table, `[ratings]`."""
    counts = np.diff(seen.row_splits)
    return {
        features.USER_INDEX: np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        features.MOVIE_INDEX: seen.movie_index,
        features.RATING: seen.rating,
    }


def seen_movies(ratings: Columns, users: int) -> SeenMovies:
    """Returns the table of movies that each user rated.

    Args:
        ratings: `user_index`, `movie_index` and `rating`, `[n]`, in any order.
        users: Number of known users.
    """
    user, movie, rating = (
        ratings[name] for name in (features.USER_INDEX, features.MOVIE_INDEX, features.RATING)
    )
    if (user[1:] < user[:-1]).any():
        order = np.argsort(user, kind="stable")
        user, movie, rating = user[order], movie[order], rating[order]
    starts = np.searchsorted(user, np.arange(users + 1))
    return SeenMovies(movie[: starts[-1]], rating[: starts[-1]], np.append(starts, starts[-1]))
