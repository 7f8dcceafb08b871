"""Measures whole pipeline runs on the five official folds of MovieLens-100K.

    .venv/bin/python -m benchmarks.official_folds [--set SECTION.KEY=VALUE] [--seeds N] [--json]

The holdout of a run is an official test fold. Early stopping uses a tenth of the other ratings.
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
    """Result of one run.

    Attributes:
        model: Name of the model.
        rmse: RMSE on the holdout, in stars.
        mae: Mean absolute error on the holdout, in stars.
        biases: RMSE of regularised biases on the holdout, in stars.
        best_epoch: Epoch with the lowest eval RMSE.
    """

    model: str
    rmse: float
    mae: float
    biases: float
    best_epoch: int


def measure(overrides: list[str], seeds: int) -> list[Run]:
    """Runs the pipeline for each seed and fold, each run in a process of its own.

    The workspace is removed at the end.

    Args:
        overrides: Values for `--set`.
        seeds: Number of training seeds.

    Returns:
        The results, in the order of seeds, then folds.

    Raises:
        SystemExit: The model predicts no ratings.
        subprocess.CalledProcessError: A run failed or its model was not blessed. The run has
            printed the reason.
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
    """Returns the result of a run.

    Raises:
        SystemExit: The model predicts no ratings.
    """
    if summary.rmse is None or summary.mae is None:
        raise SystemExit(
            f"model.name={summary.model}: predicts no ratings; expected a model that does; "
            "benchmarks.accuracy measures the others"
        )
    return Run(
        summary.model,
        summary.rmse.holdout,
        summary.mae.holdout,
        summary.baselines.bias_only,
        summary.best_epoch,
    )


def main(
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Configuration value as SECTION.KEY=VALUE; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of training seeds.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure whole pipeline runs on the five official folds of MovieLens-100K."""
    runs = measure(overrides or [], seeds)
    if as_json:
        figures = {name: _by_seed(runs, name).tolist() for name in ("rmse", "mae", "biases")}
        print(json.dumps(figures))
        return
    Console().print(as_table(runs))


def _by_seed(runs: Sequence[Run], figure: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Returns a figure of all runs, float64 `[seeds, FOLDS]`."""
    return np.array([getattr(run, figure) for run in runs]).reshape(-1, FOLDS)


def as_table(runs: Sequence[Run]) -> Table:
    """Returns a table with means over seeds, a row for each fold and one for their mean."""
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
