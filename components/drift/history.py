"""The moves of the ratings that two runs have in common: what was is not rewritten by a new week.

A poisoning of many users or rows changes ratings that the last blessed model knew, whatever it does
to the statistics of all of them, and whatever model is trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np

from components.drift.limits import DriftLimits
from components.drift.report import PROFILES, Move
from components.movielens_example_gen.rating_sample import RatingSample, Stars

# Rounding is no change, nor is another time zone.
_SAME_STARS: Final = 0.001
_SAME_TIME: Final = 86_400
# Of more than half of the ratings, people do not give another one.
_MOST_RATED_AGAIN: Final = 0.5
# Where people rate again, the stars of then and now correlate by 0.7 to 0.8 (Hill et al., 1995;
# Cosley et al., 2003). Stars that were flipped, shuffled or all made the same do by 0 or less.
_LEAST_AGREEMENT: Final = 0.25
# Among fewer ratings, chance moves the agreement by as much.
_FEWEST_COMPARED: Final = 30
# Some of them may be older than the window, or have wrong clocks.
_STRAY_SHARE: Final = 0.01
# Where every span has all ratings, no rating leaves with its span.
_MOST_REPEATED: Final = 0.1

_Mask = np.ndarray[Any, np.dtype[np.bool_]]
_Positions = np.ndarray[Any, np.dtype[np.int64]]


def history_moves(before: RatingSample, now: RatingSample, limits: DriftLimits) -> Iterator[Move]:
    """Yields the shares of ratings that are gone, were changed, came late, or are of others.

    A rating older than those of the other run, or of a span that is no longer read, may be gone: a
    window of the newest weeks moves on, or gets larger. A rating that is newer than the earlier
    ones is no change: somebody rated the movie again. But where so many were given again that they
    would be too many changes, their stars must have something to do with the earlier ones.

    Args:
        before: Sample of the ratings of the last blessed model.
        now: Sample of the ratings of this run.
        limits: Largest moves.
    """
    common = min(before.complete_to, now.complete_to)
    place = _places(before, now)
    known = before.keys <= common
    kept = known & (now.keys[place] == before.keys)
    stars = np.abs(now.stars[place] - before.stars) > _SAME_STARS
    rated_again = kept & (now.times[place] > before.newest)
    oldest, how = float(now.oldest), "compared"
    if _is_too_much(rated_again, known, before, limits):
        # Times no longer tell what the window of this run has.
        oldest, how = _oldest(before, kept), "compared by ids, since times moved on"
        rated_again = np.zeros_like(kept)
    elif _are_many(rated_again & stars, known, limits) and not _agree(
        before.stars[rated_again], now.stars[place][rated_again]
    ):
        how = "compared, with those given again, whose stars do not agree with the earlier ones"
        rated_again = np.zeros_like(kept)
    expected = known & (before.times >= oldest)
    has_left = expected & (before.spans < now.first_span)
    repeated = has_left & kept & ~rated_again
    if np.count_nonzero(repeated) <= _MOST_REPEATED * np.count_nonzero(has_left):
        expected &= ~has_left
    yield _move("gone", "share that is gone", expected, expected & ~kept, limits.max_shrink, how)
    times = np.abs(now.times[place] - before.times) > _SAME_TIME
    yield _move(
        "changed",
        "share with other stars or times",
        kept,
        kept & (stars | times) & ~rated_again,
        limits.max_changed,
        how,
    )
    yield _move(
        "titles",
        "share with another title or genres",
        kept,
        kept & (now.movies[place] != before.movies),
        limits.max_changed,
        how,
    )
    if before.users is not None and now.users is not None:
        yield _move(
            PROFILES,
            "share of users with another age, gender or occupation",
            kept,
            kept & (now.users[place] != before.users),
            limits.max_changed,
            how,
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


def remembered(
    before: RatingSample | None, now: RatingSample, accepted: Collection[str]
) -> RatingSample:
    """Returns the sample of this run's ratings as they were when they were first seen.

    Each run compares with the sample that the one before kept. So changes that are small in each
    week add up to what they are together, until a person accepts them by name.

    Args:
        before: Sample that the last blessed model kept; None if there is none.
        now: Sample of the ratings of this run.
        accepted: Names of the moves that a person accepted for this run.
    """
    # Without times, a rating that was given again cannot be told from one that was changed.
    if before is None or now.oldest == now.newest:
        return now
    place = _places(now, before)
    known = before.keys[place] == now.keys
    first = known & (now.times <= before.newest)
    if "changed" in accepted:
        first = np.zeros_like(known)
    users = now.users
    if users is not None and before.users is not None and PROFILES not in accepted:
        users = np.where(known, before.users[place], users)
    if "titles" in accepted:
        known = np.zeros_like(known)
    return dataclasses.replace(
        now,
        stars=np.where(first, before.stars[place], now.stars),
        times=np.where(first, before.times[place], now.times),
        movies=np.where(known, before.movies[place], now.movies),
        users=users,
    )


def _is_too_much(
    rated_again: _Mask, known: _Mask, before: RatingSample, limits: DriftLimits
) -> bool:
    """Returns whether more ratings are newer than all earlier ones than people give again.

    They are counted among the earlier ratings that a window of the newest weeks still has.
    """
    if not _are_many(rated_again, known, limits):
        return False
    window = known & (before.times >= _oldest(before, rated_again))
    return bool(np.count_nonzero(rated_again) > _MOST_RATED_AGAIN * np.count_nonzero(window))


def _are_many(rows: _Mask, known: _Mask, limits: DriftLimits) -> bool:
    """Returns whether some of the earlier ratings are more than may be changed."""
    return bool(np.count_nonzero(rows) > limits.max_changed * np.count_nonzero(known))


def _agree(then: Stars, today: Stars) -> bool:
    """Returns whether ratings that were given again have to do with the earlier ones.

    The measure is the concordance correlation coefficient (Lin, 1989): 1 less the mean square of
    the differences over what it would be if the two were independent.

    Args:
        then: Stars of the earlier ratings, float32 `[n]`.
        today: Stars of the ratings that took their places, float32 `[n]`.
    """
    if len(then) < _FEWEST_COMPARED:
        return True
    earlier, later = then.astype(np.float64), today.astype(np.float64)
    independent = earlier.var() + later.var() + (earlier.mean() - later.mean()) ** 2
    differing = np.mean(np.square(later - earlier))
    return bool(differing <= (1 - _LEAST_AGREEMENT) * independent)


def _oldest(before: RatingSample, rows: _Mask) -> float:
    """Returns the time of the oldest of some ratings, but for a few of them."""
    return float(np.quantile(before.times[rows], _STRAY_SHARE))


def _places(sample: RatingSample, other: RatingSample) -> _Positions:
    """Returns where each rating of a sample is in another one, if it is there."""
    return np.minimum(np.searchsorted(other.keys, sample.keys), len(other.keys) - 1)


def _move(
    name: str, measure: str, of: _Mask, moved: _Mask, allowed: float, how: str = "compared"
) -> Move:
    count, total = int(np.count_nonzero(moved)), int(np.count_nonzero(of))
    return Move(
        name=name,
        measure=measure,
        before=f"{total:,} {how}",
        now=f"{count:,} differ",
        moved=count / max(1, total),
        allowed=allowed,
    )
