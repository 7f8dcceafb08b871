"""What a user liked, and what the model would have them watch next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models import features
from models.columns import Columns
from serving.answers import Recommendation
from serving.pushed_model import PushedModel


@dataclass(frozen=True)
class Taste:
    """One user: the highest of their training ratings, and the recommendations."""

    user_id: str
    rated_highest: list[Recommendation]
    recommended: list[Recommendation]


def typical_user(ratings: Columns) -> str:
    """The user with the median number of ratings; of equals the first by id."""
    users, counts = np.unique(ratings[features.USER_ID], return_counts=True)
    user: bytes = users[np.argsort(counts, kind="stable")[len(users) // 2]]
    return user.decode()


def taste(model: PushedModel, ratings: Columns, user_id: str, k: int) -> Taste:
    """The k movies that the user rated highest and the k that the model recommends."""
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
    return Taste(user_id, rated, model.recommend(user_id, k))
