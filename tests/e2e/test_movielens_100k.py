"""The real data, through the command, to the figures that the project promises."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.registry import MODELS
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


@pytest.fixture(scope="module")
def shared_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The steps before the Trainer run once for all models."""
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"biased_mf"}))
def test_every_model_passes_the_gate_and_answers(shared_workspace: Path, name: str) -> None:
    # A name of their own keeps the models from being compared with each other.
    summary = run(shared_workspace, f"model.name={name}", f"data.name={name}")
    assert summary["gate"]["blessed"]
    assert summary["rmse"]["holdout"] < summary["baselines"]["bias_only"]
    signatures = tf.saved_model.load(summary["pushed_model"]).signatures
    users, movies = tf.constant(["196", "nobody"]), tf.constant(["242", "none"])
    rated = signatures["predict"](user_id=users, movie_id=movies)["rating"].numpy()
    assert ((rated >= 1) & (rated <= 5)).all()
    best = signatures["recommend"](user_id=users, k=tf.constant(5))
    scores = best["score"].numpy()
    assert (np.diff(scores, axis=1) <= 0).all()
    predicted = signatures["predict"](
        user_id=tf.repeat(users, 5), movie_id=tf.reshape(best["movie_id"], [-1])
    )
    np.testing.assert_allclose(predicted["rating"], np.clip(scores, 1, 5).ravel(), rtol=1e-5)


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
