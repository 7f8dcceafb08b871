"""What a rating model must know about the training ratings before it can be built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RatingStatistics:
    """Sizes of the vocabularies, and the mean and range of the training ratings (in stars)."""

    users: int
    movies: int
    rating_mean: float
    rating_min: float
    rating_max: float
