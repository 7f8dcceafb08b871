"""The models by their definitions, in NumPy's float64, for one user and one movie at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.models.factories import MOVIES, USERS, statistics

Weights = dict[str, np.ndarray]


def biased_mf_score(w: Weights, u: int, i: int) -> float:
    dot = w["user_embedding"][u] @ w["movie_embedding"][i]
    return 3.4 + w["user_bias"][u, 0] + w["movie_bias"][i, 0] + dot


def sigmoid_mf_score(w: Weights, u: int, i: int) -> float:
    dot = w["user_embedding"][u] @ w["movie_embedding"][i]
    return np.log(2.4 / 1.6) + w["user_bias"][u, 0] + w["movie_bias"][i, 0] + dot


def sparse_mf_score(w: Weights, u: int, i: int) -> float:
    if u == USERS or i == MOVIES:
        return 3.4
    return w["user_embedding"][u] @ w["movie_embedding"][i]


def collaborative_filtering_score(w: Weights, u: int, i: int) -> float:
    mean = 3.4 if i == MOVIES else statistics().movie_rating_mean[i]
    return w["w"][u] @ w["x"][i] + w["b"][u, 0] + mean


SCORES: dict[str, Callable[[Weights, int, int], float]] = {
    "biased_mf": biased_mf_score,
    "sigmoid_mf": sigmoid_mf_score,
    "sparse_mf": sparse_mf_score,
    "collaborative_filtering": collaborative_filtering_score,
}


def rating_of(name: str, w: Weights, u: int, i: int) -> float:
    score = SCORES[name](w, u, i)
    return 1 + 4 / (1 + np.exp(-score)) if name == "sigmoid_mf" else score


RETRIEVAL_MODELS = ("two_tower", "multitask")
# With features of users and movies, which its own tests define.
FEATURED_RATING_MODELS = ("svdpp",)
# Models with updates of their own.
FITTED_RETRIEVAL_MODELS = ("ease", "ials", "blend")
FITTED_RATING_MODELS = ("bayesian_mf",)


def retrieval_score(w: Weights, u: int, i: int) -> float:
    return w["user_embedding"][u] @ w["movie_embedding"][i] + w["movie_bias"][i, 0]
