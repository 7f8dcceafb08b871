"""Predictions that know no taste: the mean, and the mean with biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models import features
from models.columns import Columns

# The regularisation and sweeps that Surprise and Koren's article use for 100K-sized data.
_MOVIE_REGULARISATION = 10.0
_USER_REGULARISATION = 15.0
_SWEEPS = 10

Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Biases:
    """Mean of the ratings, and how far each user and movie stands from it, in stars."""

    mean: float
    user: Vector
    movie: Vector

    def predict(self, ratings: Columns) -> Vector:
        """μ + b_u + b_i for `user_index` and `movie_index` `[n]`."""
        return (
            self.mean
            + self.user[ratings[features.USER_INDEX]]
            + self.movie[ratings[features.MOVIE_INDEX]]
        )


def fit_biases(ratings: Columns, users: int, movies: int) -> Biases:
    """Fits μ + b_u + b_i by alternating ridge regression.

    Source: Koren, "Factor in the neighbors" (2010), section 2.1: each sweep sets
    b_i = Σ(r − μ − b_u) / (λ_movie + n_i), then b_u likewise.

    Args:
        ratings: `user_index`, `movie_index`, `rating`, `[n]`.
        users: the number of user indices, the unknown user's among them.
        movies: likewise.
    """
    user_index, movie_index = ratings[features.USER_INDEX], ratings[features.MOVIE_INDEX]
    stars = ratings[features.RATING].astype(np.float64)
    mean = float(stars.mean())
    residual = stars - mean
    user_weight = np.bincount(user_index, minlength=users) + _USER_REGULARISATION
    movie_weight = np.bincount(movie_index, minlength=movies) + _MOVIE_REGULARISATION
    user, movie = np.zeros(users), np.zeros(movies)
    for _ in range(_SWEEPS):
        movie = np.bincount(movie_index, residual - user[user_index], movies) / movie_weight
        user = np.bincount(user_index, residual - movie[movie_index], users) / user_weight
    return Biases(mean, user, movie)


def rmse(predicted: Vector | float, ratings: Columns) -> float:
    """Root mean squared error in stars."""
    stars = ratings[features.RATING].astype(np.float64)
    return float(np.sqrt(np.mean(np.square(predicted - stars))))
