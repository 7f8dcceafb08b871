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

from models.export.sample_requests import inputs_for
from models.options import ModelOptions
from models.registry import MODELS
from tests.e2e.commands import run_command, run_summary, settings
from tests.e2e.pipeline_runs import SMALL
from tests.e2e.pushed_models import example
from tests.movierec.cli.command import COMMAND

pytestmark = pytest.mark.slow

MAX_RMSE = 0.915
# A known user and movie, and unknown ones.
USERS, MOVIES = tf.constant(["196", "nobody"]), tf.constant(["242", "none"])
EXAMPLES = tf.constant([example("196", "242"), example("nobody", "none")])
# Users and movies that every run knows.
KNOWN = ([b"196", b"186"], [b"242", b"302"])


def assert_every_signature_answers(model: tf.types.experimental.ConcreteFunction) -> None:
    """A row for each pair of `KNOWN`, and no number that is not finite."""
    for name, signature in model.signatures.items():
        inputs = inputs_for(name, *KNOWN)
        answers = signature(**{key: tf.constant(value) for key, value in inputs.items()})
        assert answers, name
        for output, values in answers.items():
            assert len(values) == len(KNOWN[0]), (name, output)
            if values.dtype.is_floating:
                # Where there are fewer than k movies, their list ends with places for none.
                movies = answers["movie_id"].numpy() != b"" if values.shape.rank > 1 else ...
                assert np.isfinite(values.numpy()[movies]).all(), (name, output)


def test_the_default_run(tmp_path: Path) -> None:
    summary = run_summary(tmp_path)
    assert summary["rows"]["read"] == 100_000
    assert summary["rows"]["rejected"] == 0
    assert summary["rmse"]["holdout"] <= MAX_RMSE
    assert summary["gate"]["blessed"]
    assert_every_signature_answers(tf.saved_model.load(summary["pushed_model"]))
    again = run_summary(tmp_path)
    assert len(again["cached"]) == 11
    assert again["rmse"] == summary["rmse"]

    # Another model of the same ratings has to be as good as the one that is served.
    worse = run_command(tmp_path, "model.name=sparse_mf")
    assert worse.returncode == 2
    refused = json.loads(worse.stdout)
    assert not refused["gate"]["blessed"]
    assert refused["gate"]["baseline_rmse"] == pytest.approx(summary["rmse"]["holdout"], abs=1e-6)
    assert refused["pushed_model"] is None


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"biased_mf"}))
def test_every_model_passes_the_gate_and_answers(tmp_path: Path, name: str) -> None:
    summary = run_summary(tmp_path, f"model.name={name}")
    options = ModelOptions(name=name)
    assert summary["gate"]["blessed"]
    model = tf.saved_model.load(summary["pushed_model"])
    assert_every_signature_answers(model)
    best = model.signatures["recommend"](user_id=USERS, k=tf.constant(5))
    assert (np.diff(best["score"].numpy(), axis=1) <= 0).all()
    if options.predicts_ratings:
        assert summary["rmse"]["holdout"] < summary["baselines"]["bias_only"]
        rated = model.signatures["predict"](user_id=USERS, movie_id=MOVIES)["rating"].numpy()
        assert ((rated >= 1) & (rated <= 5)).all()
        by_example = model.signatures["serving_default"](examples=EXAMPLES)["rating"]
        np.testing.assert_array_equal(by_example, rated)
    else:
        scores = model.signatures["serving_default"](examples=EXAMPLES)["score"].numpy()
        assert np.isfinite(scores[0])
        assert scores[1] == -np.inf
    if options.retrieves:
        ranking = summary["ranking"]
        assert ranking["ndcg_at_10"] > 2 * ranking["popularity_ndcg_at_10"]
        assert ranking["recall_at_10"] > 2 * ranking["popularity_recall_at_10"]
    else:
        predicted = model.signatures["predict"](
            user_id=tf.repeat(USERS, 5), movie_id=tf.reshape(best["movie_id"], [-1])
        )["rating"]
        np.testing.assert_allclose(predicted, tf.reshape(best["rating"], [-1]), rtol=1e-5)


@pytest.mark.parametrize("step", ["Transform", "Trainer", "Evaluator"])
def test_a_killed_run_is_taken_up_where_it_was(cut: Path, tmp_path: Path, step: str) -> None:
    given = settings(f"data.path={cut}", *SMALL)
    command = [*COMMAND, "run", "--workspace", str(tmp_path), *given]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob(f"artifacts/{step}/.system/executor_execution/*")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "serving").exists()

    summary = run_summary(tmp_path, f"data.path={cut}", *SMALL)
    assert summary["gate"]["blessed"]
    assert Path(summary["pushed_model"], "saved_model.pb").is_file()
    assert "MovieLensExampleGen" in summary["cached"]
    assert step not in summary["cached"]
