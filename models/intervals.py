"""Central intervals of predicted ratings, each rating taken as normal around its prediction."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, Final

import numpy as np

LEVELS: Final = (0.5, 0.8, 0.95)
"""Probabilities of the intervals whose coverage is measured."""

_Errors = np.ndarray[Any, np.dtype[np.float64]]


def within(errors: _Errors, level: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns whether each rating is within its central interval, bool `[n]`.

    Args:
        errors: float64 `[n]`, rating less prediction in standard deviations.
        level: Probability of the interval, between 0 and 1.
    """
    return np.abs(errors) <= NormalDist().inv_cdf((1 + level) / 2)


def negative_log_density(
    errors: _Errors, deviation: _Errors
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns −log of the density at each rating, float64 `[n]`.

    Args:
        errors: float64 `[n]`, rating less prediction in standard deviations.
        deviation: float64 `[n]`, standard deviation of each rating, in stars.
    """
    return np.log(2 * np.pi * np.square(deviation)) / 2 + np.square(errors) / 2
