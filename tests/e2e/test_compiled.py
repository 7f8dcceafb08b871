"""What is compiled for each platform, run task by task on the real data."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.tree import GateConfig
from pipeline.gate import RMSE
from pipeline.gate_verdict import GateReport, read_gate_report
from serving.versions import newest_version, versions
from tests.e2e import commands
from tests.movierec.cli.command import COMMAND

pytestmark = pytest.mark.slow

ROOT = "gs://bucket/root"
# As the workspace holds them: nothing else of a bucket is needed.
LOCATION = Path("locations", "gs", "bucket", "root")
LOOKED_UP = {"baseline-model", "data-fingerprint"}
# What depends on the baseline.
JUDGED_AGAIN = {"evaluator", "pusher"}


def movierec(*arguments: str) -> str:
    result = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, cwd=os.sep
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def local_rmse(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The holdout RMSE of the local runner."""
    workspace = tmp_path_factory.mktemp("local")
    return commands.run_summary(workspace)["rmse"]["holdout"]


def run(job: Path, workspace: Path) -> dict[str, Any]:
    """Runs a compiled job; what became of its tasks."""
    printed = movierec("run-compiled", str(job), "--workspace", str(workspace), "--jobs", "2")
    pushed = workspace / LOCATION / "serving" / "movierec"
    assert f"pushed: {newest_version(pushed)}" in printed
    newest = max(workspace.glob("runs/*/tasks.json"))
    tasks: dict[str, Any] = json.loads(newest.read_text())
    # Each that ran has a log of its own process.
    ran = {name for name, task in tasks.items() if task["state"] == "done"}
    assert {log.stem for log in newest.parent.glob("*.log")} == ran
    return tasks


def gate(tasks: dict[str, Any]) -> GateReport:
    assert tasks["evaluator"]["artifacts"]["blessing"]["metadata"]["blessed"] == 1
    return read_gate_report(tasks["evaluator"]["artifacts"]["evaluation"]["uri"], GateConfig())


@pytest.mark.parametrize(("target", "name"), [("kfp", "job.yaml"), ("vertex", "job.json")])
def test_a_compiled_job_makes_the_model_of_the_local_runner(
    target: str, name: str, local_rmse: float, tmp_path: Path
) -> None:
    job, workspace = tmp_path / name, tmp_path / "workspace"
    image = ("--image", "registry.example/movierec:1")
    movierec("compile", "--target", target, *image, "--pipeline-root", ROOT, "-o", str(job))

    tasks = run(job, workspace)
    assert {task["state"] for task in tasks.values()} == {"done"}
    first = gate(tasks)
    assert first.candidate[RMSE] == pytest.approx(local_rmse, abs=1e-6)
    assert first.baseline == {}

    again = run(job, workspace)
    done = {name for name, task in again.items() if task["state"] == "done"}
    assert done == LOOKED_UP | JUDGED_AGAIN
    second = gate(again)
    assert second.baseline[RMSE] == pytest.approx(first.candidate[RMSE], abs=1e-9)
    # It is the export of before, judged anew.
    assert len(versions(workspace / LOCATION / "serving" / "movierec")) == 1
