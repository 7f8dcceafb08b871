"""Holdout RMSE and MAE of whole pipeline runs over the five official folds of MovieLens-100K.

    .venv/bin/python -m benchmarks.official_folds [--set SECTION.KEY=VALUE] [--seeds N] [--json]

A fold's holdout is the official test fold. Early stopping looks at a tenth of the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from components.movielens_example_gen.options import FOLDS
from pipeline.summary import Summary


class Run(NamedTuple):
    """What is shown of one run: errors on the holdout, and that of biases alone."""

    model: str
    rmse: float
    mae: float
    biases: float
    best_epoch: int


def measure(overrides: list[str], seeds: int) -> list[Run]:
    """A run for each seed and fold, each a process, in a workspace that is removed afterwards.

    Raises:
        SystemExit: the model predicts no ratings.
        subprocess.CalledProcessError: a run failed or its model was not blessed; the run has
            said why.
    """
    with tempfile.TemporaryDirectory() as workspace:
        return [
            _run(workspace, [f"split.method=fold:{fold}", f"training.seed={seed}", *overrides])
            for seed in range(seeds)
            for fold in range(1, FOLDS + 1)
        ]


def _run(workspace: str, overrides: list[str]) -> Run:
    settings = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "movierec", "run", "--json", "--workspace", workspace]
    result = subprocess.run([*command, *settings], stdout=subprocess.PIPE, check=True)
    return run_of(Summary.model_validate_json(result.stdout))


def run_of(summary: Summary) -> Run:
    """What is shown of a run.

    Raises:
        SystemExit: the model predicts no ratings.
    """
    if summary.rmse is None or summary.mae is None:
        raise SystemExit(
            f"{summary.model} predicts no ratings, whose errors these are; benchmarks.accuracy "
            "measures it"
        )
    return Run(
        summary.model,
        summary.rmse.holdout,
        summary.mae.holdout,
        summary.baselines.bias_only,
        summary.best_epoch,
    )


def main(
    overrides: Annotated[list[str] | None, typer.Option("--set")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many training seeds.")] = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Prints a line for each fold, the mean over seeds, and the mean over folds."""
    runs = measure(overrides or [], seeds)
    if as_json:
        figures = {name: _by_seed(runs, name).tolist() for name in ("rmse", "mae", "biases")}
        print(json.dumps(figures))
        return
    Console().print(_table(runs))


def _by_seed(runs: Sequence[Run], figure: str) -> np.ndarray[Any, np.dtype[Any]]:
    """`[seeds, FOLDS]`."""
    return np.array([getattr(run, figure) for run in runs]).reshape(-1, FOLDS)


def _table(runs: Sequence[Run]) -> Table:
    """A line for each fold: means over seeds; and one of means over folds."""
    rmse, mae, biases, best_epoch = (
        _by_seed(runs, figure) for figure in ("rmse", "mae", "biases", "best_epoch")
    )
    table = Table(title=f"{runs[0].model}, {len(rmse)} seeds")
    for column in ("fold", "RMSE", "± over seeds", "MAE", "RMSE of biases", "best epochs"):
        table.add_column(column, justify="right")
    for fold in range(FOLDS):
        epochs = ", ".join(str(epoch) for epoch in best_epoch[:, fold])
        table.add_row(
            str(fold + 1),
            f"{rmse[:, fold].mean():.4f}",
            f"{rmse[:, fold].std():.4f}",
            f"{mae[:, fold].mean():.4f}",
            f"{biases[:, fold].mean():.4f}",
            epochs,
        )
    table.add_section()
    table.add_row(
        "mean",
        f"{rmse.mean():.4f}",
        f"{rmse.mean(axis=1).std():.4f}",
        f"{mae.mean():.4f}",
        f"{biases.mean():.4f}",
        "",
    )
    return table


if __name__ == "__main__":
    typer.run(main)
