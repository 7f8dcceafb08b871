"""The real data, through the command, to the figures that the project promises."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import SMALL
from tests.e2e.test_commands import MOVIEREC

pytestmark = pytest.mark.slow

MAX_RMSE = 0.915


def run(workspace: Path, *overrides: str) -> dict:
    settings = [part for override in overrides for part in ("--set", override)]
    command = [*MOVIEREC, "run", "--json", "--workspace", str(workspace), *settings]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_default_run(tmp_path: Path) -> None:
    summary = run(tmp_path)
    assert summary["rows"]["read"] == 100_000
    assert summary["rows"]["rejected"] == 0
    assert summary["rmse"]["holdout"] <= MAX_RMSE
    assert summary["gate"]["blessed"]
    again = run(tmp_path)
    assert len(again["cached"]) == 9
    assert again["rmse"] == summary["rmse"]


@pytest.mark.timeout(1800)
def test_the_official_folds(tmp_path: Path) -> None:
    """In one workspace: a model of another fold, which has seen this one's holdout, is no
    baseline."""
    summaries = [run(tmp_path, f"split.method=fold:{fold}") for fold in range(1, 6)]
    assert [summary["rows"]["holdout"] for summary in summaries] == [20_000] * 5
    assert [summary["gate"]["baseline_rmse"] for summary in summaries] == [None] * 5
    assert np.mean([summary["rmse"]["holdout"] for summary in summaries]) <= MAX_RMSE


@pytest.mark.parametrize("step", ["Transform", "Trainer", "Evaluator"])
def test_a_killed_run_is_taken_up_where_it_was(cut: Path, tmp_path: Path, step: str) -> None:
    settings = [part for override in SMALL for part in ("--set", override)]
    command = [*MOVIEREC, "run", "--workspace", str(tmp_path), "--set", f"data.path={cut}"]
    process = subprocess.Popen([*command, *settings], stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob(f"artifacts/{step}/.system/executor_execution/*")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "serving").exists()

    summary = run(tmp_path, f"data.path={cut}", *SMALL)
    assert summary["gate"]["blessed"]
    assert Path(summary["pushed_model"], "saved_model.pb").is_file()
    assert "MovieLensExampleGen" in summary["cached"]
    assert step not in summary["cached"]
