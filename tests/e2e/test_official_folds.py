"""The official folds of the real data, through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.e2e.commands import run_summary

pytestmark = pytest.mark.slow

# Means over the folds.
MAX_MEAN_RMSE = {"biased_mf": 0.910, "svdpp": 0.890}
MIN_NDCG = 0.44


def test_two_tower_on_the_first_official_fold(tmp_path: Path) -> None:
    summary = run_summary(tmp_path, "model.name=two_tower", "split.method=fold:1")
    assert summary["ranking"]["ndcg_at_10"] >= MIN_NDCG


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MAX_MEAN_RMSE)
def test_the_official_folds(tmp_path: Path, name: str) -> None:
    """In one workspace: a model of another fold, which has seen this one's holdout, is no
    baseline."""
    summaries = [
        run_summary(tmp_path, f"model.name={name}", f"split.method=fold:{fold}")
        for fold in range(1, 6)
    ]
    assert [summary["rows"]["holdout"] for summary in summaries] == [20_000] * 5
    assert [summary["gate"]["baseline_rmse"] for summary in summaries] == [None] * 5
    assert np.mean([summary["rmse"]["holdout"] for summary in summaries]) <= MAX_MEAN_RMSE[name]
