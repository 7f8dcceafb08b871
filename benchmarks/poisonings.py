"""What may go wrong with the ratings of a week while every file can still be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Change = Callable[[Array, Array, np.random.Generator], Array]

_LIKED: Final = 4.0


@dataclass(frozen=True)
class Poisoning:
    """A change of ratings.

    Attributes:
        share: Share of the ratings, or of the users, that it changes, in (0, 1].
        change: Function of the users `[n]`, their stars `[n]` and a random generator, which
            returns the changed stars `[n]`.
    """

    share: float
    change: Change


def rows_at_three(share: float) -> Poisoning:
    """Returns the poisoning that gives a random share of the ratings three stars."""

    def change(_: Array, stars: Array, rng: np.random.Generator) -> Array:
        return np.where(rng.random(len(stars)) < share, 3.0, stars)

    return Poisoning(share, change)


def rows_flipped(share: float) -> Poisoning:
    """Returns the poisoning that turns a random share of the ratings upside down."""

    def change(_: Array, stars: Array, rng: np.random.Generator) -> Array:
        return np.where(rng.random(len(stars)) < share, _flipped(stars), stars)

    return Poisoning(share, change)


def users_flipped(share: float) -> Poisoning:
    """Returns the poisoning that turns all ratings of a random share of the users upside down."""

    def change(users: Array, stars: Array, rng: np.random.Generator) -> Array:
        distinct = np.unique(users)
        flipped = rng.choice(distinct, round(share * len(distinct)), replace=False)
        return np.where(np.isin(users, flipped), _flipped(stars), stars)

    return Poisoning(share, change)


def rows_shuffled(share: float) -> Poisoning:
    """Returns the poisoning that gives a random share of the ratings each other's stars."""

    def change(_: Array, stars: Array, rng: np.random.Generator) -> Array:
        rows = np.flatnonzero(rng.random(len(stars)) < share)
        changed = stars.copy()
        changed[rows] = rng.permutation(stars[rows])
        return changed

    return Poisoning(share, change)


def _flipped(stars: Array) -> Array:
    return 6.0 - stars


def _halved(_: Array, stars: Array, __: np.random.Generator) -> Array:
    return stars / 2


def _binarised(_: Array, stars: Array, __: np.random.Generator) -> Array:
    return np.where(stars >= _LIKED, 5.0, 1.0)


MUCH: Final = 0.05
"""Least share of a poisoning after which no model may be served."""

POISONINGS: Final[dict[str, Poisoning]] = {
    "all ratings 3": rows_at_three(1.0),
    "50 % of the rows 3": rows_at_three(0.5),
    "5 % of the rows 3": rows_at_three(0.05),
    "2 % of the rows 3": rows_at_three(0.02),
    "5 % of the rows flipped": rows_flipped(0.05),
    "all stars shuffled": rows_shuffled(1.0),
    "5 % of the stars shuffled": rows_shuffled(0.05),
    "50 % of the users flipped": users_flipped(0.5),
    "10 % of the users flipped": users_flipped(0.1),
    "5 % of the users flipped": users_flipped(0.05),
    "2 % of the users flipped": users_flipped(0.02),
    "all stars halved": Poisoning(1.0, _halved),
    "all stars 1 or 5": Poisoning(1.0, _binarised),
}
