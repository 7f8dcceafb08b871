"""The commands as processes of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e import commands
from tests.e2e.pipeline_runs import SMALL, STEPS, USER, Story
from tests.movierec.cli.command import movierec


def command(story: Story, *arguments: str) -> subprocess.CompletedProcess[str]:
    return movierec(*arguments, "--workspace", str(story.workspace))


def settings(story: Story, *more: str) -> list[str]:
    return commands.settings(f"data.path={story.data}", *SMALL, *more)


def steps_said(process: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The words of each line on standard error."""
    return [line.split() for line in process.stderr.splitlines()]


def test_run_prints_the_tables(first_run: Story) -> None:
    result = first_run.processes["first"]
    for part in (
        "5,000",
        "biases only",
        "gate: blessed",
        "serving: blessed (embedded,",
        f"user {USER}",
        "rated highest",
    ):
        assert part in result.stdout
    assert "cached" not in result.stdout
    steps = steps_said(result)
    assert {words[0] for words in steps} > STEPS
    assert len(steps) == 15, "a line for the start, each step and the report, and no noise"


@pytest.mark.slow
def test_run_says_what_was_cached(story: Story) -> None:
    result = command(story, "run", *settings(story))
    assert result.returncode == 0
    assert "every step was cached" in result.stdout
    steps = steps_said(result)
    assert ["Trainer", "cached"] in steps
    assert len(steps) == 15


@pytest.mark.slow
def test_run_json_is_the_summary_and_exits_2_if_not_blessed(story: Story) -> None:
    served = sorted((story.workspace / "serving" / "movierec").iterdir())
    result = command(story, "run", *settings(story, "gate.max_rmse=0.4"), "--json")
    assert result.returncode == 2
    summary = json.loads(result.stdout)
    assert summary["gate"]["blessed"] is False
    assert summary["pushed_model"] is None
    for key in ("rows", "rmse", "mae", "baselines", "seconds", "cached", "run_id", "dataset"):
        assert key in summary
    assert result.stderr.splitlines()[-1].startswith("movierec: not pushed: RMSE ")
    assert sorted((story.workspace / "serving" / "movierec").iterdir()) == served


@pytest.mark.slow
def test_a_server_that_is_not_up_in_time_is_an_error_that_is_not_cached(story: Story) -> None:
    served = sorted((story.workspace / "serving" / "movierec").iterdir())
    for _ in range(2):
        result = command(story, "run", *settings(story, "serving.startup_seconds=0.001"), "--json")
        assert (result.returncode, result.stdout) == (1, "")
        (said,) = [line for line in result.stderr.splitlines() if line.startswith("movierec: ")]
        assert said.startswith("movierec: ServingValidator: ")
        assert "0.001 s" in said
        assert sorted((story.workspace / "serving" / "movierec").iterdir()) == served


def test_evaluate_agrees_with_the_run(first_run: Story) -> None:
    # Later runs of the story may have pushed newer versions.
    version = Path(str(first_run.runs["first"].pushed_model)).name
    result = command(first_run, "evaluate", "--json", "--version", version)
    assert result.returncode == 0
    assert result.stderr == ""
    found, summary = json.loads(result.stdout), first_run.runs["first"]
    assert found["ratings"] == summary.rows.holdout
    assert found["rmse"] == pytest.approx(summary.rmse.holdout, abs=1e-6)
    assert found["mae"] == pytest.approx(summary.mae.holdout, abs=1e-6)


def test_recommend(first_run: Story) -> None:
    result = command(first_run, "recommend", "--user", USER, "-k", "4", "--json")
    assert result.returncode == 0
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert len(found) == 4
    scores = [entry["score"] for entry in found]
    assert scores == sorted(scores, reverse=True)
    assert all(entry["title"] and entry["movie_id"] for entry in found)


def test_an_unknown_version_is_one_line(first_run: Story) -> None:
    result = command(first_run, "recommend", "--user", USER, "--version", "5")
    assert result.returncode == 1
    assert "version 5: " in result.stderr
    assert Path(str(first_run.runs["first"].pushed_model)).name in result.stderr
