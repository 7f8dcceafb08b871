"""What the training data of an exported model says about its users and movies, in coarse values.

A server's request log has these values, and `movierec skew` compares them with those of training.
Many users have one activity, which names nobody; genres and a decile may narrow a movie down.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import tensorflow as tf

from models.activity import activity_slice
from models.beyond_accuracy import popularity_deciles
from models.export.saved_model import read_table

UNKNOWN: Final = "unknown"
"""Value of users and movies that were not in the training data."""


@dataclass(frozen=True)
class TrainingPopulation:
    """Users and movies of the training data.

    Attributes:
        user_activity: Activity slice of each user, such as `21-50`, by raw id.
        movie_decile: Popularity decile of each movie, from 1 to 10, the most rated, by raw id.
        movie_genres: Genres of each movie, by raw id.
        movie_ratings: Number of training ratings of each movie, by raw id.
    """

    user_activity: dict[bytes, str]
    movie_decile: dict[bytes, str]
    movie_genres: dict[bytes, tuple[str, ...]]
    movie_ratings: dict[bytes, int]


def read_population(version: Path) -> TrainingPopulation | None:
    """Returns the population of an exported recommender, or None for another SavedModel.

    Args:
        version: Folder of the SavedModel.
    """
    folder = str(version)
    try:
        users, counts = read_table(folder, "user_ids"), read_table(folder, "user_rating_counts")
        movies, ratings = read_table(folder, "movie_ids"), read_table(folder, "movie_popularity")
        genres = _genres_of_movies(folder)
    except (KeyError, tf.errors.OpError, ValueError):
        return None
    # The unknown user's count comes last.
    activities = activity_slice(tf.constant(counts[: len(users)], tf.int64)).numpy()
    return TrainingPopulation(
        user_activity={user: name.decode() for user, name in zip(users, activities, strict=True)},
        movie_decile=dict(zip(movies, map(str, popularity_deciles(ratings).tolist()), strict=True)),
        movie_genres=dict(zip(movies, genres, strict=True)),
        movie_ratings=dict(zip(movies, ratings.astype(int).tolist(), strict=True)),
    )


def _genres_of_movies(folder: str) -> list[tuple[str, ...]]:
    names = [name.decode() for name in read_table(folder, "genres")]
    index, splits = read_table(folder, "movie_genre_index"), read_table(folder, "genre_row_splits")
    return [tuple(names[genre] for genre in index[start:end]) for start, end in pairwise(splits)]
