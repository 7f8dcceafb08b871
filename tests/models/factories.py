"""Small models and ratings for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import tensorflow as tf

from models.columns import Columns
from models.contracts import Pairs, RankingModel, RatingModel
from models.factory import build_model
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.seen_movies import SeenMovies
from models.zoo.biased_mf import BiasedMatrixFactorization

USERS, MOVIES = 6, 5


def statistics() -> RatingStatistics:
    return RatingStatistics(
        USERS,
        MOVIES,
        ratings=40,
        rating_mean=3.4,
        rating_min=1.0,
        rating_max=5.0,
        rating_stddev=1.25,
        movie_rating_count=np.array([9, 11, 4, 10, 6]),
        movie_rating_mean=np.array([3.0, 3.5, 2.5, 4.0, 3.25]),
        seen=SeenMovies(
            np.array([0, 2, 1, 0, 1, 2, 3, 4, 4, 1, 3], np.int32),
            np.array([4, 2, 5, 1, 3, 4, 5, 2, 3, 5, 4], np.float32),
            np.array([0, 2, 3, 8, 8, 9, 11, 11]),
        ),
    )


def statistics_of_one_user(rated: np.ndarray) -> RatingStatistics:
    """Statistics of the ratings of one user alone."""
    return replace(
        statistics(),
        users=1,
        ratings=len(rated),
        seen=SeenMovies(
            rated, np.ones(len(rated), np.float32), np.array([0, len(rated), len(rated)])
        ),
    )


def biased_mf(rng: np.random.Generator, dimension: int = 3) -> BiasedMatrixFactorization:
    """A model whose known rows all differ from zero, as after training."""
    options = ModelOptions(dimension=dimension, l2_embedding=0.3, l2_bias=0.7)
    model = BiasedMatrixFactorization(statistics(), options, seed=1)
    for variable in model.trainable_variables:
        values = rng.normal(0, 0.5, variable.shape).astype(np.float32)
        values[-1] = 0
        variable.assign(values)
    return model


def trained_like(name: str, rng: np.random.Generator) -> RankingModel:
    """A small model of any name whose known rows all differ from zero, as after training."""
    model = build_model(ModelOptions(name=name, dimension=3), statistics(), seed=1)
    variances = {
        variable.ref()
        for module in (model, *getattr(model, "submodules", ()))
        for name, variable in vars(module).items()
        if name.endswith("_variance")
    }
    for variable in model.trainable_variables:
        values = rng.normal(0, 0.5, variable.shape).astype(np.float32)
        if variable.ref() in variances:
            variable.assign(0.5 + np.abs(values))
            continue
        if len(values) > 1:
            values[-1] = 0
        variable.assign(values)
    return model


def rated_by_head(model: RatingModel) -> np.ndarray:
    """Ratings by the head from the vectors, `[users + 1, movies + 1]`."""
    users, movies = np.divmod(np.arange((USERS + 1) * (MOVIES + 1)), MOVIES + 1)
    vectors = (
        tf.gather(table, index)
        for table, index in ((model.user_vectors(), users), (model.movie_vectors(), movies))
    )
    rated = model.rating_head()(Pairs(tf.constant(users), tf.constant(movies), *vectors))
    return rated.numpy().reshape(USERS + 1, MOVIES + 1)


def finite_differences(function: Callable[[], float], table: np.ndarray) -> np.ndarray:
    """The gradient of a function of a table's values, which are float64."""
    step = 1e-5
    gradient = np.zeros_like(table)
    for position in np.ndindex(table.shape):
        kept = table[position]
        table[position] = kept + step
        above = function()
        table[position] = kept - step
        gradient[position] = (above - function()) / (2 * step)
        table[position] = kept
    return gradient


def ratings(rng: np.random.Generator, count: int = 40) -> Columns:
    """Ratings of known users and movies, some pairs more than once."""
    return {
        "user_index": rng.integers(0, USERS, count).astype(np.int32),
        "movie_index": rng.integers(0, MOVIES, count).astype(np.int32),
        "rating": rng.integers(1, 6, count).astype(np.float32),
    }
