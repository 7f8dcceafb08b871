"""Measures how sure `bayesian_mf` is, and how right, on the official folds of MovieLens-100K.

    .venv/bin/python -m benchmarks.uncertainty [--seeds N] [--json]

The model trains on one core on all training ratings of a fold, with its default options, for their
number of sweeps. No rating chooses when to stop.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import rating_sets
from benchmarks.contenders.measuring import Measured
from benchmarks.contenders.running import run
from components.movielens_example_gen.options import FOLDS
from models.intervals import LEVELS
from models.registry import MODELS

_MODEL = "bayesian_mf"


def figures(fold: Measured) -> dict[str, float | None]:
    """Returns what the table shows of a fold, by heading."""
    assert fold.coverage is not None, "expected a model that predicts variances"
    within = zip(LEVELS, fold.coverage, strict=True)
    return {
        "RMSE": fold.test_rmse,
        "MAE": fold.test_mae,
        "NLL": fold.test_nll,
        "NLL of stars": fold.test_star_nll,
        **{f"within {level:.0%}": share for level, share in within},
        "CPU s": fold.cpu["train"],
    }


def as_table(results: Sequence[Sequence[Measured]]) -> Table:
    """Returns a table with a row for each fold, and one for the mean with its spread.

    Args:
        results: A result for each fold, by seed.
    """
    table = Table(title=f"{_MODEL}, {len(results)} seeds")
    for heading in ("fold", *figures(results[0][0])):
        table.add_column(heading, justify="right")
    values = np.array([[[*figures(fold).values()] for fold in folds] for folds in results])
    for fold, means in enumerate(values.mean(axis=0), start=1):
        table.add_row(str(fold), *(f"{mean:.4f}" for mean in means))
    table.add_section()
    by_seed = values.mean(axis=1)
    table.add_row("mean", *(f"{mean:.4f}" for mean in by_seed.mean(axis=0)))
    table.add_row("± over seeds", *(f"{spread:.4f}" for spread in by_seed.std(axis=0)))
    return table


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the errors and intervals of bayesian_mf on the five official folds."""
    console = Console(stderr=True)
    settings: dict[str, Any] = {"model": _MODEL, "epochs": MODELS[_MODEL].training["epochs"]}
    results: list[list[Measured]] = []
    with tempfile.TemporaryDirectory() as folder:
        ratings, sides = rating_sets.movielens_100k(), rating_sets.movielens_100k_sides()
        for seed in range(seeds):
            results.append([])
            for fold in range(1, FOLDS + 1):
                archive = Path(folder, f"fold-{fold}.npz")
                rating_sets.save({**rating_sets.official_fold(ratings, fold), **sides}, archive)
                measured = run("rating_model", archive, {**settings, "seed": seed}, console)
                console.print(f"seed {seed}, fold {fold}: {json.dumps(asdict(measured))}")
                results[-1].append(measured)
    if as_json:
        print(json.dumps(results, default=asdict))
    else:
        Console().print(as_table(results))


if __name__ == "__main__":
    typer.run(main)
