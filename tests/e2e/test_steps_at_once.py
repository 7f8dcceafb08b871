"""Runs whose steps are processes: their figures, and how a run ends before its time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import run_command, run_summary, settings
from tests.e2e.pipeline_runs import SMALL
from tests.e2e.pipeline_runs import run as run_here
from tests.movierec.cli.command import COMMAND
from tests.processes import runs
from tests.serving.asking import wait_until

pytestmark = pytest.mark.slow

LONG = (*SMALL, "training.epochs=5000", "training.patience=5000")


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    """All of a summary but its times and its place."""
    varying = {"run_id", "seconds", "peak_memory_mb", "pushed_model", "cached", "examples"}
    kept = {name: value for name, value in summary.items() if name not in varying}
    kept["serving"] = {**kept["serving"], "latency": sorted(kept["serving"]["latency"])}
    return kept


def artifacts(workspace: Path, *steps: str) -> list[Path]:
    """What the executors of steps were started for."""
    return [
        found
        for step in steps
        for found in workspace.glob(f"artifacts/{step}/.system/executor_execution/*")
    ]


def start(workspace: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "run", "--workspace", str(workspace), *settings(*overrides)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def trainer_of(run: subprocess.Popen[str], workspace: Path) -> int:
    """The process of the Trainer, when it trains and no other step runs beside it."""
    while not list(workspace.glob("checkpoints/**/*.index")) or len(children(run.pid)) != 1:
        assert run.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.05)
    return children(run.pid)[0]


def test_steps_at_once_have_the_figures_of_steps_in_turn(cut: Path, tmp_path: Path) -> None:
    given = (f"data.path={cut}", *SMALL)
    # TensorFlow is loaded here, so the steps run in this process.
    in_turn = json.loads(run_here(tmp_path / "1", cut, *SMALL).model_dump_json())
    at_once = run_summary(tmp_path / "2", *given, "runner.jobs=2")
    assert figures(at_once) == figures(in_turn)
    assert set(at_once["seconds"]) == set(in_turn["seconds"])
    again = run_summary(tmp_path / "2", *given, "runner.jobs=2")
    # All but the lookups.
    assert set(again["seconds"]) - set(again["cached"]) == {
        "start-up",
        "DriftValidator",
        "BaselineModel",
        "report",
        "total",
    }


def test_nothing_is_trained_on_data_that_moved_too_far(cut: Path, tmp_path: Path) -> None:
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    shutil.copytree(cut, data)
    run_summary(workspace, f"data.path={data}", *SMALL)
    before = artifacts(workspace, "Trainer", "RatingBaselines")
    lines = (data / "ratings.csv").read_text().splitlines()
    (data / "ratings.csv").write_text("\n".join(lines[:3001]) + "\n")
    result = run_command(workspace, f"data.path={data}", *SMALL, "runner.jobs=2")
    assert result.returncode == 1
    assert "movierec: DriftValidator: the data has moved too far" in result.stderr
    assert artifacts(workspace, "Trainer", "RatingBaselines") == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end_keeps_the_state_of_its_training(
    cut: Path, tmp_path: Path, number: signal.Signals
) -> None:
    given = (f"data.path={cut}", *LONG, "runner.jobs=2", "training.checkpoint_seconds=0")
    run = start(tmp_path, *given)
    trainer = trainer_of(run, tmp_path)
    run.send_signal(number)
    _, errors = run.communicate()
    assert run.returncode == 130
    assert errors.splitlines()[-1].startswith("movierec: interrupted; ")
    assert not runs(trainer)
    (log,) = tmp_path.glob("runs/*/log.txt")
    assert "all state is saved" in log.read_text()


@pytest.mark.parametrize(
    ("jobs", "number", "ended"),
    [(2, signal.SIGKILL, "killed"), (1, signal.SIGABRT, "ended by SIGABRT")],
)
def test_a_step_that_is_killed_ends_the_run_with_one_line(
    cut: Path, tmp_path: Path, jobs: int, number: signal.Signals, ended: str
) -> None:
    given = (f"data.path={cut}", *LONG, "training.checkpoint_seconds=0")
    run = start(tmp_path, *given, f"runner.jobs={jobs}")
    os.kill(trainer_of(run, tmp_path), number)
    _, errors = run.communicate()
    assert run.returncode == 1
    assert errors.splitlines()[-1].startswith(f"movierec: Trainer: its process was {ended}, ")
    summary = run_summary(tmp_path, f"data.path={cut}", *SMALL)
    assert {"MovieLensExampleGen", "Transform"} <= set(summary["cached"])
    assert summary["gate"]["blessed"]


def test_no_step_outlives_a_run_that_is_killed(cut: Path, tmp_path: Path) -> None:
    given = (f"data.path={cut}", *LONG, "runner.jobs=2", "training.checkpoint_seconds=0")
    run = start(tmp_path, *given)
    trainer = trainer_of(run, tmp_path)
    run.kill()
    run.communicate()
    wait_until(lambda: not runs(trainer))
