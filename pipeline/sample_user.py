"""A user to show after a run: their highest ratings and what the model recommends to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models import features
from models.columns import Columns
from serving.answers import Recommendation
from serving.pushed_model import PushedModel


@dataclass(frozen=True)
class SampleUser:
    """One user with their highest training ratings and their recommendations."""

    user_id: str
    rated_highest: list[Recommendation]
    recommended: list[Recommendation]


def typical_user(ratings: Columns) -> str:
    """Returns the user with the median number of ratings; of equals, the first by id."""
    users, counts = np.unique(ratings[features.USER_ID], return_counts=True)
    user: bytes = users[np.argsort(counts, kind="stable")[len(users) // 2]]
    return user.decode()


def sample_user(model: PushedModel, ratings: Columns, user_id: str, k: int) -> SampleUser:
    """Returns a user with the k movies they rated highest and k recommendations.

    Args:
        model: Pushed model that recommends.
        ratings: Training ratings, with `user_id`, `movie_id`, `movie_title` and `rating`.
        user_id: Id of the user.
        k: Number of movies in each list.
    """
    mine = np.flatnonzero(ratings[features.USER_ID] == user_id.encode())
    best = mine[np.argsort(-ratings[features.RATING][mine], kind="stable")][:k]
    rated = [
        Recommendation(
            ratings[features.MOVIE_ID][row].decode(),
            ratings[features.MOVIE_TITLE][row].decode(),
            float(ratings[features.RATING][row]),
        )
        for row in best
    ]
    return SampleUser(user_id, rated, model.recommend(user_id, k))
