"""Runs of the pipeline on the cut of the ratings, one after the other in one workspace."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline import local_runner
from pipeline.config.tree import load_config
from pipeline.summary import Summary, newest_first
from pipeline.workspace import Workspace
from tests.e2e.commands import settings
from tests.movierec.cli.command import movierec_with_imports

# Ratings in the cut.
ROWS: Final = 5_000

# The user whose recommendations a run prints.
USER: Final = "13"

# A small model, quickly trained, and a gate that it passes.
SMALL: Final = (
    "data.dataset=csv",
    "model.dimension=8",
    "training.epochs=12",
    "training.patience=12",
    "gate.max_rmse=1.1",
    "gate.min_gain_over_biases=-1",
)

# A gate that a worse model passes beside a better one.
LET_THROUGH: Final = ("gate.max_regression=9", "gate.max_drift_from_best=9")

STEPS: Final = {
    "ImportSchemaGen",
    "MovieLensExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "Transform",
    "RatingBaselines",
    "Trainer",
    "Evaluator",
    "Gate",
    "ServingValidator",
    "Pusher",
}
"""The steps that can be cached."""


def run(workspace: Path, data: Path, *overrides: str) -> Summary:
    config = load_config(None, [f"data.path={data}", *overrides])
    return local_runner.run(config, Workspace(workspace)).summary


@dataclass
class Story:
    """The runs of one workspace, in the order in which they happened."""

    workspace: Path
    data: Path
    runs: dict[str, Summary] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    processes: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def tell(self, name: str, *overrides: str) -> None:
        self._add(name, run(self.workspace, self.data, *overrides))

    def tell_by_command(self, name: str, *overrides: str) -> None:
        """A run by `movierec run`, in a process of its own."""
        chosen = settings(f"data.path={self.data}", *overrides)
        place = ("--workspace", str(self.workspace))
        process = movierec_with_imports("run", *place, "--user", USER, *chosen)
        assert process.returncode == 0, process.stderr
        self.processes[name] = process
        self._add(name, next(newest_first(Workspace(self.workspace))))

    def _add(self, name: str, summary: Summary) -> None:
        self.runs[name] = summary
        served = self.workspace / "serving" / "movierec"
        self.versions[name] = sorted(entry.name for entry in served.iterdir())


def worst_slice(summary: Summary) -> tuple[str, float]:
    """The slice with the highest RMSE, and a bound between it and the whole holdout's."""
    worst = max(summary.slices, key=lambda name: summary.slices[name])
    return worst, (summary.rmse.holdout + summary.slices[worst]) / 2
