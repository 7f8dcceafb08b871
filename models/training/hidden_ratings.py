"""Ratings that are hidden from a training, to choose what ranks them best."""

from __future__ import annotations

from typing import Final

import numpy as np

from models import features
from models.columns import Columns, row_count

_USERS: Final = 0.5
_RATINGS: Final = 0.4


def hide(ratings: Columns, users: int, seed: int) -> tuple[Columns, Columns]:
    """Returns visible and hidden ratings: 40 % of the ratings of half of the users are hidden.

    A test of whole users or of a later time takes many ratings of a user at once. A random tenth
    of all ratings takes few, and other settings win on it.

    Args:
        ratings: Features of ratings, `user_index` among them, `[n]`.
        users: Number of users.
        seed: Seed of the choice; equal seeds and numbers give equal choices.
    """
    rng = np.random.default_rng([seed, users])
    is_chosen = rng.random(users) < _USERS
    is_hidden = rng.random(row_count(ratings)) < _RATINGS
    is_hidden &= is_chosen[ratings[features.USER_INDEX]]
    return (
        {name: values[~is_hidden] for name, values in ratings.items()},
        {name: values[is_hidden] for name, values in ratings.items()},
    )
