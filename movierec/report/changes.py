"""What differs between two runs: their configurations, their data and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from movierec.report.material import run_config
from pipeline.config.tree import PipelineConfig
from pipeline.summary import Summary
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Change:
    """A value in two runs.

    Attributes:
        name: Name of the value.
        before: Value in the earlier run, as text.
        now: Value in the later run, as text.
        difference: Later less earlier value, as text; empty for what is no number.
    """

    name: str
    before: str
    now: str
    difference: str = ""


def between(workspace: Workspace, before: Summary | None, now: Summary) -> dict[str, list[Change]]:
    """Returns what differs by kind: configuration, data and figures; nothing without a run before.

    Args:
        workspace: Workspace of both runs.
        before: Earlier run, or None.
        now: Later run.
    """
    if before is None:
        return {}
    configs = (run_config(workspace, run) for run in (before, now))
    return {
        "configuration": of_configuration(*configs),
        "data": of_data(before, now),
        "figures": of_figures(before, now),
    }


def of_configuration(before: PipelineConfig, now: PipelineConfig) -> list[Change]:
    """Returns the keys with other values."""
    then, today = _flat(before), _flat(now)
    return [
        Change(key, then.get(key, "not set"), today.get(key, "not set"))
        for key in sorted({*then, *today})
        if then.get(key) != today.get(key)
    ]


def of_data(before: Summary, now: Summary) -> list[Change]:
    """Returns the counts of rows that differ."""
    then, today = before.rows.model_dump(), now.rows.model_dump()
    return [
        Change(f"rows {name}", f"{then[name]:,}", f"{count:,}", f"{count - then[name]:+,}")
        for name, count in today.items()
        if isinstance(count, int) and count != then[name]
    ]


def of_figures(before: Summary, now: Summary) -> list[Change]:
    """Returns the figures that both runs have, each on the holdout of its own run."""
    then, today = figures(before), figures(now)
    return [
        Change(name, f"{then[name]:.4f}", f"{value:.4f}", f"{value - then[name]:+.4f}")
        for name, value in today.items()
        if name in then
    ]


def figures(summary: Summary) -> dict[str, float]:
    """Returns the figures of a run by name."""
    found: dict[str, float] = {}
    if summary.rmse is not None and summary.mae is not None and summary.calibration is not None:
        found |= {
            "RMSE": summary.rmse.holdout,
            "MAE": summary.mae.holdout,
            "calibration": summary.calibration,
            "RMSE on eval": summary.rmse.eval,
            "RMSE on train": summary.rmse.train,
        }
    if summary.intervals is not None:
        found |= {
            "negative log likelihood": summary.intervals.negative_log_likelihood,
            "within 80 % intervals": summary.intervals.coverage_80,
        }
    if summary.ranking is not None:
        found |= {
            "NDCG@10": summary.ranking.ndcg_at_10,
            "Recall@10": summary.ranking.recall_at_10,
        }
    return found


def _flat(config: PipelineConfig) -> dict[str, str]:
    """Returns the values by `section.key`, as text."""
    dumped: Mapping[str, Mapping[str, Any]] = config.model_dump(mode="json", exclude_none=True)
    return {
        f"{section}.{key}": str(value)
        for section, values in dumped.items()
        for key, value in values.items()
    }
