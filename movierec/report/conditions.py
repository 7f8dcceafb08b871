"""The conditions of the gate, each with its value and its limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from movierec.report.slices import ndcg_margin
from pipeline.config.tree import PipelineConfig
from pipeline.summary import Gate, Summary


@dataclass(frozen=True)
class Condition:
    """A condition of the gate.

    Attributes:
        name: Name of what is measured.
        key: Key of the configuration that limits it.
        value: Measured value as text.
        limit: Limit as text.
        met: Whether the value is within the limit; None where nothing could be compared.
    """

    name: str
    key: str
    value: str
    limit: str
    met: bool | None


def conditions(summary: Summary, config: PipelineConfig) -> list[Condition]:
    """Returns the conditions of the gate, of the drift check and of the model server."""
    return [
        *_of_ratings(summary, config),
        *_of_rankings(summary, config),
        *_on_golden(summary.gate),
        *_of_lists(summary),
        *_of_slices(summary, config),
        *_of_drift(summary),
        _of_server(summary, config),
    ]


def _of_ratings(summary: Summary, config: PipelineConfig) -> Iterator[Condition]:
    if summary.rmse is None:
        return
    gate, rmse, last = summary.gate, summary.rmse.holdout, summary.gate.baseline_rmse
    yield _at_most("RMSE", "gate.max_rmse", rmse, gate.threshold)
    gain = summary.baselines.bias_only - rmse
    yield _at_least(
        "gain over biases", "gate.min_gain_over_biases", gain, gate.min_gain_over_biases
    )
    change = None if last is None else rmse - last
    yield _at_most("change of RMSE", "gate.max_regression", change, gate.max_regression)
    if config.gate.confidence is not None:
        high = None if gate.interval is None else gate.interval.high
        yield _at_most(
            f"change of RMSE, upper end of the interval with confidence {config.gate.confidence:g}",
            "gate.confidence",
            high,
            gate.max_regression,
        )
    above = None if last is None else gate.above_best
    yield _at_most(
        "RMSE lost since the best model",
        "gate.max_drift_from_best",
        above,
        gate.max_drift_from_best,
    )
    shift = gate.baseline_shift
    allowed = gate.max_baseline_shift
    yield _baseline_move(
        "RMSE, without the user who moves it most",
        "gate.max_baseline_shift",
        None if shift is None else abs(shift.moved),
        # What the users of the holdout differ by anyway is no move.
        allowed if shift is None else max(allowed, shift.standard_error),
        gate,
    )


def _of_rankings(summary: Summary, config: PipelineConfig) -> Iterator[Condition]:
    ranking, gate = summary.ranking, summary.gate
    if ranking is None:
        return
    for name, value, popularity in (
        ("NDCG@10", ranking.ndcg_at_10, ranking.popularity_ndcg_at_10),
        ("Recall@10", ranking.recall_at_10, ranking.popularity_recall_at_10),
    ):
        yield _at_least(
            f"gain of {name} over popularity",
            "gate.min_gain_over_popularity",
            value - popularity,
            gate.min_gain_over_popularity,
        )
    for name, value, last, interval in (
        ("NDCG@10", ranking.ndcg_at_10, gate.baseline_ndcg_at_10, gate.ndcg_interval),
        ("Recall@10", ranking.recall_at_10, gate.baseline_recall_at_10, None),
    ):
        change = _at_least(
            f"change of {name}",
            "gate.max_ranking_regression",
            None if last is None else value - last,
            -gate.max_ranking_regression,
        )
        if interval is not None:
            margin = interval.high - interval.difference
            change = replace(change, value=f"{change.value} ± {margin:.4f}")
        yield change
    last = gate.baseline_ndcg_at_10
    yield _at_most(
        "NDCG@10 lost since the best model",
        "gate.max_ranking_drift_from_best",
        None if last is None else gate.below_best,
        config.gate.max_ranking_drift_from_best,
    )
    if summary.rmse is None:
        then = gate.baseline_ndcg_at_10_when_blessed
        moved = None if last is None or then is None else abs(last - then)
        allowed = gate.max_baseline_ndcg_shift
        yield _baseline_move("NDCG@10", "gate.max_baseline_ndcg_shift", moved, allowed, gate)


def _baseline_move(
    figure: str, key: str, moved: float | None, allowed: float, gate: Gate
) -> Condition:
    """Returns the condition that a figure of the last blessed model has not moved."""
    found = _at_most(f"move of the last blessed model's {figure}", key, moved, allowed)
    if gate.baseline_move_accepted and found.met is False:
        return replace(found, name=f"{found.name} (accepted)", met=True)
    return found


def _on_golden(gate: Gate) -> Iterator[Condition]:
    """Yields the conditions on the golden set, where it was compared."""
    if gate.golden is None or gate.golden.baseline is None:
        return
    ours, best = gate.golden.candidate, gate.golden.baseline
    key, allowed = "gate.max_golden_regression", gate.max_golden_regression
    if ours.rmse is not None and best.best_rmse is not None:
        yield _at_most(
            "rise of RMSE above the best model's on the golden set",
            key,
            ours.rmse - best.best_rmse,
            max(allowed, gate.golden.standard_error),
        )
    if ours.ndcg is not None and best.best_ndcg is not None:
        fall = best.best_ndcg - ours.ndcg
        yield _at_most("fall of NDCG@10 below the best model's there", key, fall, allowed)


def _of_lists(summary: Summary) -> Iterator[Condition]:
    gate, lists = summary.gate, summary.gate.lists
    if gate.min_catalogue_coverage is not None:
        coverage = None if lists is None else lists.coverage
        key = "gate.min_catalogue_coverage"
        yield _at_least("catalogue coverage", key, coverage, gate.min_catalogue_coverage)
    if gate.max_popularity_lift is not None:
        lift = None if lists is None else lists.popularity_lift
        yield _at_most(
            "popularity lift", "gate.max_popularity_lift", lift, gate.max_popularity_lift
        )


def _of_slices(summary: Summary, config: PipelineConfig) -> Iterator[Condition]:
    for name in config.gate.slices:
        value = summary.slices.get(name)
        if summary.rmse is not None:
            yield _at_most(f"RMSE on {name}", "gate.slices", value, summary.gate.threshold)
        else:
            margin = ndcg_margin(summary, name)
            shown = "no liked rating" if value is None else f"{value:.4f}"
            if margin is not None:
                shown += f" ± {margin:.4f}"
            yield Condition(f"NDCG@10 on {name}", "gate.slices", shown, "as the whole", None)


def _of_drift(summary: Summary) -> Iterator[Condition]:
    for move in summary.drift.moves:
        accepted = move.name in summary.drift.accepted
        yield Condition(
            name=f"drift of {move.name}: {move.measure}" + (" (accepted)" if accepted else ""),
            key="drift",
            value=f"{move.moved:.4g}",
            limit=f"≤ {move.allowed:g}",
            met=accepted or not move.exceeded,
        )


def _of_server(summary: Summary, config: PipelineConfig) -> Condition:
    difference = summary.serving.max_difference
    return Condition(
        name="difference of a served answer",
        key="serving.max_difference",
        value="not measured" if difference is None else f"{difference:.1e}",
        limit=f"≤ {config.serving.max_difference:g}",
        met=summary.serving.blessed,
    )


def _at_most(name: str, key: str, value: float | None, limit: float) -> Condition:
    met = None if value is None else value <= limit
    return Condition(name, key, _shown(value), f"≤ {limit:g}", met)


def _at_least(name: str, key: str, value: float | None, limit: float) -> Condition:
    met = None if value is None else value >= limit
    return Condition(name, key, _shown(value), f"≥ {limit:g}", met)


def _shown(value: float | None) -> str:
    return "nothing to compare with" if value is None else f"{value:+.4f}".removeprefix("+")
