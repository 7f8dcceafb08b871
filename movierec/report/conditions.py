"""The conditions of the gate, each with its value and its limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from movierec.report.slices import ndcg_margin
from pipeline.config.tree import PipelineConfig
from pipeline.summary import Summary


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
        *_of_rankings(summary),
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
    then = gate.baseline_rmse_when_blessed
    moved = None if last is None or then is None else abs(last - then)
    yield _at_most(
        "move of the last blessed model's RMSE",
        "gate.max_baseline_shift",
        moved,
        gate.max_baseline_shift,
    )


def _of_rankings(summary: Summary) -> Iterator[Condition]:
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
    last = gate.baseline_ndcg_at_10
    change = _at_least(
        "change of NDCG@10",
        "gate.max_ranking_regression",
        None if last is None else ranking.ndcg_at_10 - last,
        -gate.max_ranking_regression,
    )
    if gate.ndcg_interval is not None:
        margin = gate.ndcg_interval.high - gate.ndcg_interval.difference
        change = replace(change, value=f"{change.value} ± {margin:.4f}")
    yield change


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
