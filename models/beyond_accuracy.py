"""Figures of recommendation lists beyond accuracy: coverage, concentration, novelty, popularity."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.records import Record

# Share of the catalogue, the most rated movies, outside of which lies the long tail.
HEAD: Final = 0.2

Vector = np.ndarray[Any, np.dtype[Any]]


class BeyondAccuracy(Record):
    """Figures of the lists of some users; None where nothing is recommended to anybody.

    Attributes:
        users: Number of users.
        k: Length of a list.
        coverage: Share of the catalogue that is in at least one list.
        gini: Gini coefficient of how often each movie is recommended: 0 if all equally often, 1
            if always the same one.
        novelty: Mean self-information of a recommended movie in bits, −log2 of the share of users
            who rated it.
        long_tail_share: Share of the recommendations outside the most rated fifth of the movies.
        average_popularity: Mean number of training ratings of a recommended movie.
        popularity_lift: How much more popular a user's list is than what the user rated, as a
            share of the latter; 0 is without bias, None if nobody of them rated anything.
    """

    users: int
    k: int
    coverage: float
    gini: float | None
    novelty: float | None
    long_tail_share: float | None
    average_popularity: float | None
    popularity_lift: float | None


def beyond_accuracy(
    lists: Vector, popularity: Vector, profile_popularity: Vector, all_users: int
) -> BeyondAccuracy:
    """Returns the figures of recommendation lists.

    Sources: coverage and Gini as in Shani & Gunawardana, "Evaluating recommendation systems"
    (2011); novelty is the mean self-information of Zhou et al., "Solving the apparent
    diversity-accuracy dilemma of recommender systems" (2010); the lift is that of Abdollahpouri et
    al., "The unfairness of popularity bias in recommendation" (2019).

    Args:
        lists: Indices of the recommended movies, int `[n, k]`; −1 where a list is shorter.
        popularity: Number of training ratings of each movie, `[movies]`.
        profile_popularity: Mean popularity of what each user rated in training, `[n]`; NaN for a
            user without ratings, who does not count for the lift.
        all_users: Number of users in training.
    """
    movies = lists[lists >= 0]
    times = np.sort(np.bincount(movies, minlength=len(popularity)))
    place = np.arange(1, len(times) + 1)
    if not len(movies):
        return BeyondAccuracy(
            users=len(lists), k=lists.shape[1], coverage=0.0, gini=None, novelty=None,
            long_tail_share=None, average_popularity=None, popularity_lift=None,
        )  # fmt: skip
    recommended = popularity[movies].astype(np.float64)
    return BeyondAccuracy(
        users=len(lists),
        k=lists.shape[1],
        coverage=float(np.mean(times > 0)),
        gini=float(np.sum((2 * place - len(times) - 1) * times) / (len(times) * times.sum())),
        novelty=float(np.mean(np.log2(all_users / np.maximum(recommended, 1)))),
        long_tail_share=float(np.mean(~in_head(popularity)[movies])),
        average_popularity=float(recommended.mean()),
        popularity_lift=_popularity_lift(lists, popularity, profile_popularity),
    )


def _popularity_lift(lists: Vector, popularity: Vector, profile_popularity: Vector) -> float | None:
    has_both = ~np.isnan(profile_popularity) & (lists >= 0).any(axis=1)
    if not has_both.any():
        return None
    shown = np.where(lists >= 0, popularity[lists], np.nan).astype(np.float64)[has_both]
    in_lists = np.nanmean(shown, axis=1).mean()
    return float(in_lists / profile_popularity[has_both].mean() - 1)


def in_head(popularity: Vector) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns which movies are among the most rated fifth, bool `[movies]`."""
    head = np.zeros(len(popularity), bool)
    head[np.argsort(-popularity, kind="stable")[: round(HEAD * len(popularity))]] = True
    return head


def popularity_deciles(popularity: Vector) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Returns the decile of each movie by its number of ratings, from 1 to 10, the most rated.

    Args:
        popularity: Number of training ratings of each movie, `[movies]`.
    """
    deciles = np.empty(len(popularity), np.int64)
    order = np.argsort(popularity, kind="stable")
    deciles[order] = 1 + np.arange(len(popularity)) * 10 // max(1, len(popularity))
    return deciles
