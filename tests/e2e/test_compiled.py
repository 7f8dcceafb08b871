"""What is compiled for each platform, run task by task on the real data."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from serving.versions import newest_version, versions
from tests.e2e import commands
from tests.movierec.cli.command import COMMAND

pytestmark = pytest.mark.slow

ROOT = "gs://bucket/root"
# As the workspace holds them: nothing else of a bucket is needed.
LOCATION = Path("locations", "gs", "bucket", "root")
# Training for long shows nothing more of the platforms.
SETTINGS = (
    "training.epochs=3",
    "gate.max_rmse=1.2",
    "gate.min_gain_over_biases=-1",
    "gate.min_catalogue_coverage=0.01",
    "gate.max_popularity_lift=100",
    'gate.slices=["movie_popularity_decile=10", "user_gender=F"]',
)
LOOKED_UP = {"baseline-model", "data-fingerprint", "drift-validator", "run-report"}
# What depends on the baseline.
JUDGED_AGAIN = {"evaluator", "gate", "pusher"}


def movierec(*arguments: str) -> str:
    result = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, cwd=os.sep
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of the local runner."""
    return commands.run_summary(tmp_path_factory.mktemp("local"), *SETTINGS)


def run(job: Path, workspace: Path, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs a compiled job; its summary, and what became of its tasks."""
    where = ("--workspace", str(workspace), "--jobs", "2")
    summary = json.loads(movierec("run-compiled", str(job), *where, "--json", *options))
    pushed = workspace / LOCATION / "serving" / "movierec"
    assert summary["pushed_model"] == str(newest_version(pushed))
    newest = max(workspace.glob("runs/*/tasks.json"))
    tasks: dict[str, Any] = json.loads(newest.read_text())
    # Each that ran has a log of its own process.
    ran = {name for name, task in tasks.items() if task["state"] == "done"}
    assert {log.stem for log in newest.parent.glob("*.log")} == ran
    return summary, tasks


def check_blessings(tasks: dict[str, Any]) -> None:
    """Both name the model as the platform does."""
    model = tasks["trainer"]["artifacts"]["model"]
    for judge in ("evaluator", "serving-validator"):
        said = tasks[judge]["artifacts"]["blessing"]["metadata"]
        assert said["blessed"] == 1
        assert said["current_model_id"] == model["name"]


def check_report(tasks: dict[str, Any], summary: dict[str, Any]) -> None:
    """The page and the figures are where the platforms' pages look for them."""
    made = tasks["run-report"]["artifacts"]
    kinds = {key: artifact["type"]["schemaTitle"] for key, artifact in made.items()}
    assert kinds["report"] == "system.HTML"
    assert kinds["metrics"] == "system.Metrics"
    page = Path(made["report"]["uri"]).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert f"{summary['rmse']['holdout']:.4f}" in page
    figures = made["metrics"]["metadata"]
    assert figures["holdout_rmse"] == pytest.approx(summary["rmse"]["holdout"], abs=1e-6)
    lists = summary["gate"]["lists"]
    assert figures["catalogue_coverage"] == pytest.approx(lists["coverage"], abs=1e-6)
    assert figures["popularity_lift"] == pytest.approx(lists["popularity_lift"], abs=1e-6)
    assert figures["model_pushed"] == figures["model_blessed"] == 1


@pytest.mark.parametrize(
    ("target", "version"),
    [("kfp", "2.3.0"), ("kfp", "2.4.1"), ("kfp", "2.5.0"), ("kfp", "2.17.0"), ("vertex", None)],
)
def test_a_compiled_job_makes_the_model_of_the_local_runner(
    target: str, version: str | None, local: dict[str, Any], tmp_path: Path
) -> None:
    job = tmp_path / ("job.yaml" if target == "kfp" else "job.json")
    workspace = tmp_path / "workspace"
    options = () if version is None else ("--platform-version", version)
    image = ("--image", "registry.example/movierec:1", "--pipeline-root", ROOT)
    movierec("compile", "--target", target, *image, "-o", str(job), *commands.settings(*SETTINGS))

    summary, tasks = run(job, workspace, *options)
    assert {task["state"] for task in tasks.values()} == {"done"}
    check_blessings(tasks)
    check_report(tasks, summary)
    assert summary["gate"]["blessed"]
    assert summary["gate"]["baseline_rmse"] is None
    for figure in ("train", "eval", "holdout"):
        assert summary["rmse"][figure] == pytest.approx(local["rmse"][figure], abs=1e-6)
    for key in ("dataset", "model", "rows", "best_epoch"):
        assert summary[key] == local[key], key
    for key in ("baselines", "slices"):
        assert summary[key] == pytest.approx(local[key], abs=1e-6), key
    # pytest compares no nested figures.
    gate, local_gate = dict(summary["gate"]), dict(local["gate"])
    assert gate.pop("lists") == pytest.approx(local_gate.pop("lists"), abs=1e-6)
    assert gate == pytest.approx(local_gate, abs=1e-6)
    if version not in {None, "2.17.0"}:
        return

    second, again = run(job, workspace, *options)
    done = {name for name, task in again.items() if task["state"] == "done"}
    assert done == LOOKED_UP | JUDGED_AGAIN
    assert set(second["cached"]) == set(again) - done
    # It is the export of before, judged anew, and no export is its own baseline.
    assert second["gate"]["baseline_rmse"] is None
    assert second["drift"]["version"] == Path(summary["pushed_model"]).name
    assert max(move["moved"] for move in second["drift"]["moves"]) == 0
    assert len(versions(workspace / LOCATION / "serving" / "movierec")) == 1
