"""The judgement of a model by its figures, those of the last blessed model, and its record."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from components.gate import golden
from components.gate.interval import Interval
from components.gate.limits import BASELINE_MOVE, GateLimits
from components.gate.record import GateRecord, GoldenComparison
from components.gate.shift import Shift
from models.beyond_accuracy import BeyondAccuracy
from models.records import Record

ACCEPTED: Final = "accepted: "
"""Start of a note on an alarm that a person accepted."""


@dataclass(frozen=True)
class Figures:
    """Figures of a model on the holdout.

    Attributes:
        rmse: RMSE in stars; None for a model that predicts no ratings.
        ndcg: NDCG@10; None for a model that retrieves nothing.
        ndcg_change_error: Standard error of the difference of NDCG@10 from the last blessed
            model's; None likewise, and without one.
    """

    rmse: float | None = None
    ndcg: float | None = None
    ndcg_change_error: float | None = None


@dataclass(frozen=True)
class Baseline:
    """The last blessed model: its figures on this run's holdout, and its record.

    Attributes:
        figures: Figures on the holdout of this run.
        record: Record from when it was blessed; None for an export without one.
        shift: Move of its RMSE since then; None for a model that predicts no ratings, or without
            a record.
    """

    figures: Figures
    record: GateRecord | None
    shift: Shift | None = None


class Judgement(Record):
    """The judgement and its grounds.

    Attributes:
        failures: Reasons against the model, one line each; empty for a model that is good enough.
        notes: What was compared, and what could not be.
        above_best: Stars of RMSE lost since the best blessed model.
        below_best: NDCG@10 lost since the best blessed model.
        interval: Confidence interval of the change of RMSE; None without a baseline.
        ndcg_interval: That of the change of NDCG@10, which is shown and decides nothing.
        baseline_rmse_when_blessed: RMSE of the last blessed model on the holdout of its own run;
            None if it is not known.
        baseline_ndcg_when_blessed: NDCG@10 of it there; None if it is not known, or if other movies
            counted as liked.
        shift: Move of its RMSE since then; None likewise.
        move_accepted: Whether its figures moved too far, and a person accepted that.
        golden: Comparison on the golden set; None without one.
        lists: Figures of the recommendation lists; None if no limit asks for them.
    """

    failures: tuple[str, ...]
    notes: tuple[str, ...]
    above_best: float
    below_best: float
    interval: Interval | None
    ndcg_interval: Interval | None = None
    baseline_rmse_when_blessed: float | None
    baseline_ndcg_when_blessed: float | None
    shift: Shift | None = None
    move_accepted: bool = False
    golden: GoldenComparison | None = None
    lists: BeyondAccuracy | None = None


def judge(
    candidate: Figures,
    baseline: Baseline | None,
    bias_only: float,
    limits: GateLimits,
    interval: Interval | None = None,
    ndcg_interval: Interval | None = None,
    accepted: Collection[str] = (),
    why_no_baseline: str = "",
    on_golden: GoldenComparison | None = None,
    lists: BeyondAccuracy | None = None,
    liked_rating: float | None = None,
) -> Judgement:
    """Judges a model.

    Args:
        candidate: Figures of the model.
        baseline: The last blessed model; None if there is none to compare with.
        bias_only: Holdout RMSE of the bias-only prediction.
        limits: Limits to hold the figures against.
        interval: Confidence interval of the change of RMSE; None without a baseline.
        ndcg_interval: That of the change of NDCG@10; None likewise.
        accepted: Names of moves that a person accepted for this run.
        why_no_baseline: Reason why there is none.
        on_golden: Comparison on the golden set; None without one.
        lists: Figures of the recommendation lists, where a limit asks for them.
        liked_rating: Lowest rating of a liked movie in this run; None if nobody has changed it.
    """
    failures: list[str] = []
    notes: list[str] = []
    above_best = below_best = 0.0
    moved: list[str] = []
    if candidate.rmse is not None:
        failures += _floor(candidate.rmse, bias_only, limits)
    if baseline is None:
        if limits.require_baseline:
            failures.append(f"{why_no_baseline} (gate.require_baseline)")
        else:
            notes.append(why_no_baseline)
    else:
        above_best, below_best = _lost_since_best(candidate, baseline)
        failures += _drift_from_best(above_best, below_best, limits)
        moved = list(_baseline_shift(baseline, limits, liked_rating))
        if baseline.record is None:
            notes.append("the last blessed model has no record of its figures")
        elif baseline.record.rmse is None and _counts_others(baseline.record, liked_rating):
            notes.append(
                f"NDCG@10 is not compared with that of the last blessed model's own run, where "
                f"model.liked_rating was {baseline.record.liked_rating:g}"
            )
        if BASELINE_MOVE in accepted:
            notes += [f"{ACCEPTED}{line}" for line in moved]
        else:
            failures += moved
    notes += [
        f"{name}{found.low:+.4f} to {found.high:+.4f} with {found.confidence:g} confidence"
        for name, found in (("", interval), ("NDCG@10 changes by ", ndcg_interval))
        if found is not None
    ]
    if interval is not None:
        failures += _noise(interval, limits)
    if on_golden is not None:
        notes.append(golden.note(on_golden))
        failures += golden.objections(on_golden, limits)
    if lists is not None:
        failures += _beyond_accuracy(lists, limits)
    then = None if baseline is None else baseline.record
    return Judgement(
        lists=lists,
        failures=tuple(failures),
        notes=tuple(notes),
        above_best=above_best,
        below_best=below_best,
        interval=interval,
        ndcg_interval=ndcg_interval,
        baseline_rmse_when_blessed=then and then.rmse,
        baseline_ndcg_when_blessed=None
        if then is None or _counts_others(then, liked_rating)
        else then.ndcg,
        shift=baseline and baseline.shift,
        move_accepted=bool(moved) and BASELINE_MOVE in accepted,
        golden=on_golden,
    )


def _beyond_accuracy(lists: BeyondAccuracy, limits: GateLimits) -> Iterator[str]:
    """Yields the objections that too few movies are recommended, or too popular ones."""
    coverage, lift = limits.min_catalogue_coverage, limits.max_popularity_lift
    if coverage is not None and not lists.coverage >= coverage:
        yield (
            f"the lists of ten have {lists.coverage:.4f} of the catalogue "
            f"(gate.min_catalogue_coverage {coverage:g})"
        )
    measured = lists.popularity_lift
    if lift is not None and measured is None:
        yield "nothing is recommended whose popularity can be measured (gate.max_popularity_lift)"
    if lift is not None and measured is not None and not measured <= lift:
        yield (
            f"recommended movies are {measured:+.4f} more popular than what their users rated "
            f"(gate.max_popularity_lift allows {lift:+g})"
        )


def _floor(rmse: float, bias_only: float, limits: GateLimits) -> Iterator[str]:
    # NaN, of a prediction that is no number, is no gain.
    if not bias_only - rmse >= limits.min_gain_over_biases:
        yield (
            f"RMSE {rmse:.4f} is {bias_only - rmse:+.4f} better than biases only, {bias_only:.4f} "
            f"(gate.min_gain_over_biases {limits.min_gain_over_biases:g})"
        )


def _lost_since_best(candidate: Figures, baseline: Baseline) -> tuple[float, float]:
    """Returns how much RMSE and NDCG@10 were lost since the best model of the group.

    The change of each run is measured on one holdout, and the changes are summed. So the holdout
    may grow harder from week to week, and yet a model is held against the best one.
    """
    record = baseline.record or GateRecord(rmse=None, ndcg=None)
    above, below = 0.0, 0.0
    if candidate.rmse is not None and baseline.figures.rmse is not None:
        above = _summed(record.above_best, candidate.rmse - baseline.figures.rmse)
    if candidate.ndcg is not None and baseline.figures.ndcg is not None:
        below = _summed(record.below_best, baseline.figures.ndcg - candidate.ndcg)
    return above, below


def _summed(lost: float, change: float) -> float:
    """Returns what is lost with a change; one that cannot be measured has a failure of its own."""
    return lost if math.isnan(change) else max(0.0, lost + change)


def _drift_from_best(above: float, below: float, limits: GateLimits) -> Iterator[str]:
    if above > limits.max_drift_from_best:
        yield (
            f"RMSE is {above:+.4f} above the best blessed model's, summed over the runs since "
            f"(gate.max_drift_from_best allows {limits.max_drift_from_best:+g})"
        )
    if below > limits.max_ranking_drift_from_best:
        yield (
            f"NDCG@10 is {below:.4f} below the best blessed model's, summed over the runs since "
            f"(gate.max_ranking_drift_from_best allows {limits.max_ranking_drift_from_best:g})"
        )


def _noise(interval: Interval, limits: GateLimits) -> Iterator[str]:
    """Yields the objection that the ratings are too few to rule out a regression."""
    if limits.confidence is not None and not interval.high <= limits.max_regression:
        yield (
            f"RMSE may be as much as {interval.high:+.4f} against the last blessed model's, with "
            f"gate.confidence {limits.confidence:g} (gate.max_regression allows "
            f"{limits.max_regression:+g})"
        )


def _counts_others(record: GateRecord, liked_rating: float | None) -> bool:
    """Returns whether NDCG@10 of the record counts other movies as liked than this run's."""
    return None not in (record.liked_rating, liked_rating) and record.liked_rating != liked_rating


def _baseline_shift(
    baseline: Baseline, limits: GateLimits, liked_rating: float | None
) -> Iterator[str]:
    """Yields the alarm that the holdout, not the model, has changed.

    The last blessed model is fixed, so only the data can move its RMSE. A poisoned holdout moves
    it although the new model, trained on the same poison, fits.
    """
    record, shift = baseline.record, baseline.shift
    if record is None:
        return
    if shift is not None and record.rmse is not None:
        # What the users of the holdout differ by anyway is no move.
        allowed = max(limits.max_baseline_shift, shift.standard_error)
        if not abs(shift.moved) <= allowed:
            yield _alarm(
                f"RMSE moved from {record.rmse:.4f} to {baseline.figures.rmse:.4f}, by "
                f"{shift.moved:+.4f} without the user who moves it most",
                f"gate.max_baseline_shift allows {allowed:.3g}",
            )
    now, then = baseline.figures.ndcg, record.ndcg
    if record.rmse is not None or now is None or then is None:
        return
    if _counts_others(record, liked_rating):
        return
    # NaN, where no movie is liked any more, is a move too.
    if not abs(now - then) <= limits.max_baseline_ndcg_shift:
        yield _alarm(
            f"NDCG@10 moved from {then:.4f} to {now:.4f}",
            f"gate.max_baseline_ndcg_shift allows {limits.max_baseline_ndcg_shift:g}",
        )


def _alarm(moved: str, allowed: str) -> str:
    return (
        f"the last blessed model's {moved}: the ratings of this run differ from those it was "
        f"blessed on ({allowed}; --accept-drift {BASELINE_MOVE} accepts it once)"
    )
