"""The summary of an invented run, for tests of tables and figures."""

from __future__ import annotations

from typing import Any

from components.drift.report import DriftReport
from components.serving_validator.report import ServingReport
from pipeline import summary as parts
from pipeline.summary import Summary


def summary(**changed: Any) -> Summary:
    """Returns the summary of a rating model that was pushed."""
    values: dict[str, Any] = {
        "run_id": "2024-01-01",
        "dataset": "ml-100k",
        "model": "biased_mf",
        "rows": parts.Rows(
            read=10, rejected=1, rejected_by_reason={"twice": 1}, train=6, eval=1, holdout=2
        ),
        "rmse": parts.Rmse(train=0.8, eval=0.94, holdout=0.93),
        "mae": parts.Mae(holdout=0.73),
        "calibration": 1.0,
        "ranking": None,
        "baselines": parts.Baselines(global_mean=1.1, bias_only=0.95),
        "slices": {},
        "drift": DriftReport(version=None, not_compared=("no blessed model to compare with",)),
        "gate": parts.Gate(
            blessed=True,
            threshold=0.94,
            max_regression=0.005,
            min_gain_over_popularity=0.02,
            max_ranking_regression=0.01,
            max_drift_from_best=0.01,
            max_baseline_shift=0.02,
            max_baseline_ndcg_shift=0.02,
            min_gain_over_biases=0.005,
            baseline_rmse=None,
            baseline_rmse_when_blessed=None,
            interval=None,
            baseline_ndcg_at_10=None,
            baseline_ndcg_at_10_when_blessed=None,
            above_best=0.0,
            max_golden_regression=0.01,
            reason="good enough",
        ),
        "serving": ServingReport(
            blessed=True, reason="answers", server="embedded", max_difference=0.0, latency={}
        ),
        "best_epoch": 7,
        "tuning": None,
        "examples": "examples",
        "pushed_model": None,
        "seconds": {"Trainer": 2.0, "total": 3.0},
        "cached": [],
    }
    return Summary(**{**values, **changed})
