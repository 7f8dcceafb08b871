"""`movierec run --tune`, a process: it searches, trains with what it found, and prints that."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.summary import SUMMARY_FILE, Summary
from pipeline.workspace import Workspace
from tests.e2e.commands import settings
from tests.e2e.pipeline_runs import SMALL
from tests.movierec.cli.command import COMMAND

# Two whole runs of the chain.
pytestmark = pytest.mark.slow

RATE = "training.learning_rate"
# Far too low for the few epochs: whatever else is tried is better.
CONFIGURED = 0.02


def movierec_run(workspace: Path, data: Path, *arguments: str) -> str:
    """What is printed, on lines that are long enough for it."""
    command = [*COMMAND, "run", "--workspace", str(workspace)]
    result = subprocess.run(
        [*command, *settings(f"data.path={data}", *SMALL), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "300"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_what_the_search_found_is_printed_and_trained_with(cut: Path, tmp_path: Path) -> None:
    ranges = f'{{"{RATE}" = [{CONFIGURED}, 10]}}'
    configured = ("--set", f"{RATE}={CONFIGURED}", "--set", f"tuning.ranges={ranges}")
    printed = movierec_run(tmp_path, cut, "--tune", *configured, "--set", "tuning.trials=3")
    (line,) = re.findall(r"^tuned: .*$", printed, re.MULTILINE)
    said = re.fullmatch(
        rf"tuned: {RATE} (\S+), the best of 3 trials \((\d\.\d{{4}}) on eval\)", line
    )
    assert said, line
    rate, error = (float(number) for number in said.groups())
    assert CONFIGURED < rate <= 10

    (path,) = Workspace(tmp_path).runs.glob(f"*/{SUMMARY_FILE}")
    tuned = Summary.model_validate_json(path.read_text(encoding="utf-8"))
    assert tuned.tuning is not None
    assert tuned.tuning.best == {RATE: pytest.approx(rate, rel=1e-3)}
    # The Trainer's own figure.
    assert tuned.rmse is not None
    assert tuned.rmse.eval == pytest.approx(error, abs=1e-4)

    # The same, told what the search has found.
    told = json.loads(
        movierec_run(tmp_path, cut, "--json", "--set", f"{RATE}={tuned.tuning.best[RATE]!r}")
    )
    assert told["tuning"] is None
    assert told["rmse"] == pytest.approx(tuned.rmse.model_dump(), abs=1e-6)
