"""The confidence interval of the difference of two models' figures on the same ratings."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from models.records import Record

Vector = np.ndarray[Any, np.dtype[np.float64]]


class Interval(Record):
    """An interval around a difference, candidate less baseline: of RMSE in stars, or of NDCG@10.

    Attributes:
        confidence: Probability that such an interval covers the true difference.
        difference: Difference on the given ratings.
        low: Lower end.
        high: Upper end.
    """

    confidence: float
    difference: float
    low: float
    high: float


def rmse_difference(
    candidate: Vector, baseline: Vector, users: Vector, confidence: float
) -> Interval:
    """Returns the interval of RMSE(candidate) − RMSE(baseline), by its standard error.

    Both models predict the same ratings, so their errors are paired, and a hard rating is hard for
    both. The ratings of one user are not independent, so users are the sample, not ratings. The
    standard error is that of the linearised difference (the delta method) with the sums of each
    user (the cluster-robust variance). It needs no random numbers, unlike the bootstrap over users
    that it agrees with, so the same run gives the same verdict.

    Args:
        candidate: Errors of the candidate in stars, float64 `[n]`.
        baseline: Errors of the baseline for the same ratings, float64 `[n]`.
        users: Id of the user of each rating, `[n]`.
        confidence: Probability, in (0, 1).
    """
    difference = rmse(candidate) - rmse(baseline)
    influence = rmse_influence(candidate) - rmse_influence(baseline)
    return around(difference, standard_error(influence, users), confidence)


def around(difference: float, error: float, confidence: float) -> Interval:
    """Returns the interval of a normal difference.

    Args:
        difference: Difference on the given ratings.
        error: Standard error of it.
        confidence: Probability, in (0, 1).
    """
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Interval(
        confidence=confidence,
        difference=difference,
        low=difference - margin,
        high=difference + margin,
    )


def rmse(errors: Vector) -> float:
    """Returns the root of the mean of the squared errors."""
    return float(np.sqrt(np.mean(np.square(errors))))


def standard_error(influence: Vector, users: Vector) -> float:
    """Returns the standard error of a figure that is a mean over ratings, with users as the sample.

    Args:
        influence: Deviation of each rating's share of the figure from the figure, float64 `[n]`.
        users: Id of the user of each rating, `[n]`.
    """
    _, index = np.unique(users, return_inverse=True)
    by_user = np.bincount(index, influence)
    correction = len(by_user) / max(1, len(by_user) - 1)
    return float(np.sqrt(correction * np.sum(np.square(by_user))) / len(influence))


def rmse_influence(errors: Vector) -> Vector:
    """Returns the influence of each rating on the RMSE by the delta method, float64 `[n]`."""
    squares, of_all = np.square(errors), rmse(errors)
    # A model without errors has no spread of them either.
    return (squares - squares.mean()) / (2 * of_all) if of_all else np.zeros_like(squares)
