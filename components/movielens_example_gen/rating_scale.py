"""Recognises the scale of ratings that no edition and no configuration names."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from components.errors import DataError

SCALES: Final = (
    (0.0, 1.0), (-1.0, 1.0), (0.5, 5.0), (0.0, 5.0), (0.0, 10.0), (-10.0, 10.0), (0.0, 100.0),
)  # fmt: skip
"""Scales that ratings commonly have, each before those that contain it."""

# More outside are no accident.
_ALL = 0.99
# With fewer outside, they may be damage, or the scale is a larger one.
_MOST = 0.8


def containing(lowest: float, highest: float) -> tuple[float, float]:
    """Returns the smallest common scale that holds a range; the range itself if none does."""
    return next(
        (scale for scale in SCALES if scale[0] <= lowest and highest <= scale[1]), (lowest, highest)
    )


def recognise(ratings: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Returns the smallest common scale that holds the ratings.

    Args:
        ratings: Ratings, NaN where a text is no number.

    Raises:
        DataError: No scale holds them, or a smaller one holds most of them, but not enough.
    """
    values, counts = np.unique(ratings[np.isfinite(ratings)], return_counts=True)
    if not len(values):
        return SCALES[2]
    if values[0] == -1 and values[-1] > 1 and (values[1:] >= 0).all():
        raise DataError(
            f"the only rating below 0 is -1, which can stand for no rating: set data.rating_range "
            f"to [{values[1]:g}, {values[-1]:g}] to set such rows aside, with "
            f"data.max_rejected_fraction above {counts[0] / counts.sum():.2g}, or to "
            f"[-1, {values[-1]:g}] to keep them"
        )
    for lowest, highest in SCALES:
        share = counts[(values >= lowest) & (values <= highest)].sum() / counts.sum()
        if share >= _ALL:
            return lowest, highest
        if share >= _MOST:
            raise DataError(
                f"ratings go from {values[0]:g} to {values[-1]:g}, but {share:.1%} are from "
                f"{lowest:g} to {highest:g}: set data.rating_range to [LOWEST, HIGHEST]"
            )
    raise DataError(
        f"ratings go from {values[0]:g} to {values[-1]:g}, which is no common scale: set "
        f"data.rating_range to [{values[0]:g}, {values[-1]:g}]"
    )
