"""The moves of the ratings that two runs have in common: what was is not rewritten by a new week.

A poisoning of many users or rows changes ratings that the last blessed model knew, whatever it does
to the statistics of all of them, and whatever model is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from components.drift.limits import DriftLimits
from components.drift.report import Move
from components.movielens_example_gen.rating_sample import RatingSample

# Rounding is no change, nor is another time zone.
_SAME_STARS: Final = 0.001
_SAME_TIME: Final = 86_400

_Mask = np.ndarray[Any, np.dtype[np.bool_]]
_Positions = np.ndarray[Any, np.dtype[np.int64]]


def history_moves(before: RatingSample, now: RatingSample, limits: DriftLimits) -> Iterator[Move]:
    """Yields the shares of ratings that are gone, were changed, came late, or are of other movies.

    A rating older than those of the other run is left out: a window of the newest weeks moves on,
    or gets larger. A rating that is newer than the earlier ones is no change: somebody rated the
    movie again.

    Args:
        before: Sample of the ratings of the last blessed model.
        now: Sample of the ratings of this run.
        limits: Largest moves.
    """
    common = min(before.complete_to, now.complete_to)
    expected = (before.times >= now.oldest) & (before.keys <= common)
    place = _places(before, now)
    kept = expected & (now.keys[place] == before.keys)
    yield _move("gone", "share that is gone", expected, expected & ~kept, limits.max_shrink)
    rated_again = now.times[place] > before.newest
    stars = np.abs(now.stars[place] - before.stars) > _SAME_STARS
    times = np.abs(now.times[place] - before.times) > _SAME_TIME
    yield _move(
        "changed",
        "share with other stars or times",
        kept,
        kept & (stars | times) & ~rated_again,
        limits.max_changed,
    )
    yield _move(
        "titles",
        "share with another title or genres",
        kept,
        kept & (now.movies[place] != before.movies),
        limits.max_changed,
    )
    compared = (now.times >= before.oldest) & (now.keys <= common)
    unknown = before.keys[_places(now, before)] != now.keys
    yield _move(
        "late",
        "share that is new and yet old",
        compared,
        compared & unknown & (now.times < before.newest),
        limits.max_late,
    )


def _places(sample: RatingSample, other: RatingSample) -> _Positions:
    """Returns where each rating of a sample is in another one, if it is there."""
    return np.minimum(np.searchsorted(other.keys, sample.keys), len(other.keys) - 1)


def _move(name: str, measure: str, of: _Mask, moved: _Mask, allowed: float) -> Move:
    count, total = int(np.count_nonzero(moved)), int(np.count_nonzero(of))
    return Move(
        name=name,
        measure=measure,
        before=f"{total:,} compared",
        now=f"{count:,} differ",
        moved=count / max(1, total),
        allowed=allowed,
    )
