"""Values that slice the evaluation and that no feature has: age groups, popularity deciles."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np

from components.recommendation_lists import positions
from models.beyond_accuracy import popularity_deciles
from models.export.saved_model import read_table

AGE_GROUPS: Final = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")
"""Age groups, which are those of MovieLens-1M."""

# First age of each group but the first.
_FIRST_AGES: Final = (18, 25, 35, 45, 50, 56)

Vector = np.ndarray[Any, np.dtype[Any]]


def age_groups(ages: Vector) -> Vector:
    """Returns the name of the group of each age in years, `[n]`."""
    return np.array(AGE_GROUPS)[np.searchsorted(_FIRST_AGES, ages, side="right")]


def deciles_of_movies(export: str, movie_ids: Vector) -> Vector:
    """Returns the popularity decile of movies, text `[n]`: 1 to 10, the most rated, or 0.

    Args:
        export: Folder of an exported model, whose training ratings count.
        movie_ids: Raw ids, bytes `[n]`; the decile of an unknown one is 0.
    """
    known, deciles = _deciles(export)
    return deciles[positions(known, movie_ids)].astype(str)


@lru_cache(maxsize=2)
def _deciles(export: str) -> tuple[Vector, Vector]:
    """Returns the ids of the catalogue, and the decile of each with that of unknown ones last."""
    deciles = popularity_deciles(read_table(export, "movie_popularity"))
    return read_table(export, "movie_ids"), np.append(deciles, 0)
