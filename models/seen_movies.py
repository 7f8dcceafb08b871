"""The movies that each user rated in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns


@dataclass(frozen=True)
class SeenMovies:
    """A ragged table.

    Attributes:
        movie_index: int32 `[ratings]`, user by user.
        row_splits: int64 `[users + 2]`; the last row is the unknown user's and is empty.
    """

    movie_index: np.ndarray[Any, np.dtype[np.int32]]
    row_splits: np.ndarray[Any, np.dtype[np.int64]]

    def as_ragged(self) -> tf.RaggedTensor:
        """int32 `[users + 1, (movies)]`."""
        return tf.RaggedTensor.from_row_splits(self.movie_index, self.row_splits)


def seen_movies(ratings: Columns, users: int) -> SeenMovies:
    """The table of ratings (`user_index`, `movie_index`, `[n]`), sorted by user or not."""
    user, movie = ratings[features.USER_INDEX], ratings[features.MOVIE_INDEX]
    if (user[1:] < user[:-1]).any():
        order = np.argsort(user, kind="stable")
        user, movie = user[order], movie[order]
    starts = np.searchsorted(user, np.arange(users + 1))
    return SeenMovies(movie[: starts[-1]], np.append(starts, starts[-1]))
