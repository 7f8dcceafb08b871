"""The confidence interval of the difference of two RMSEs on the same ratings."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from models.records import Record

Vector = np.ndarray[Any, np.dtype[np.float64]]


class Interval(Record):
    """An interval around a difference, candidate less baseline, in stars.

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
    ours, theirs = np.square(candidate), np.square(baseline)
    our_rmse, their_rmse = np.sqrt(ours.mean()), np.sqrt(theirs.mean())
    # A model without errors has no spread of them either.
    influence = sum(
        (squares - squares.mean()) / (2 * rmse) * sign
        for squares, rmse, sign in ((ours, our_rmse, 1), (theirs, their_rmse, -1))
        if rmse
    )
    _, index = np.unique(users, return_inverse=True)
    by_user = np.bincount(index, np.broadcast_to(influence, ours.shape))
    correction = len(by_user) / max(1, len(by_user) - 1)
    error = np.sqrt(correction * np.sum(np.square(by_user))) / len(ours)
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * error
    difference = our_rmse - their_rmse
    return Interval(
        confidence=confidence,
        difference=float(difference),
        low=float(difference - margin),
        high=float(difference + margin),
    )
