"""RMSE, MAE and cost of every rating model over the official folds of MovieLens-100K.

    make peers
    .venv/bin/python -m benchmarks.accuracy [--seeds N] [--json]

Each model is trained on one core with its defaults, as the pipeline's Trainer does it: a tenth of
the training ratings finds the number of epochs, then all are trained on. Peers are trained on all.
The settings of Surprise SVD are the best of twenty on a tenth of three folds' training ratings,
those of the others the best of a few.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import rating_sets
from benchmarks.contenders.measuring import Measured
from benchmarks.contenders.running import TUNED_SVD, require_peers, run
from components.movielens_example_gen.options import FOLDS
from models.presets import PRESETS

# By the name shown: the contender and its settings.
_PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Surprise SVD": ("surprise_svd", {"svd": TUNED_SVD}),
    "Surprise SVD++": (
        "surprise_svd",
        {
            "implicit": True,
            "svd": {"n_factors": 20, "n_epochs": 20, "lr_all": 0.007, "reg_all": 0.05},
        },
    ),
    "Cornac MF": (
        "cornac_mf",
        {"mf": {"k": 100, "max_iter": 60, "learning_rate": 0.01, "lambda_reg": 0.1}},
    ),
}


def measure(folder: Path, seeds: int, console: Console) -> dict[str, list[list[Measured]]]:
    """For each model, by seed, what it took on each fold."""
    ratings = rating_sets.movielens_100k()
    archives = [folder / f"fold-{fold}.npz" for fold in range(1, FOLDS + 1)]
    for fold, archive in enumerate(archives, start=1):
        np.savez(archive, **rating_sets.official_fold(ratings, fold))
    ours = {
        name: [
            [
                run("rating_model", archive, {"model": name, "seed": seed}, console)
                for archive in archives
            ]
            for seed in range(seeds)
        ]
        for name in PRESETS
    }
    peers = {
        name: [[run(contender, archive, settings, console) for archive in archives]]
        for name, (contender, settings) in _PEERS.items()
    }
    return {**ours, **peers}


def main(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds of our models.")] = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Prints a line for each model, the mean over the folds; with seeds, their spread."""
    require_peers()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), seeds, Console(stderr=True))
    if as_json:
        print(json.dumps(results, default=asdict))
        return
    table = Table(title="five official folds of MovieLens-100K, one core")
    for column in ("", "RMSE", "± over seeds", "MAE", "CPU s a fold"):
        table.add_column(column, justify="right" if column else "left")
    for name, runs in results.items():
        rmse, mae, cpu = (
            np.array([[select(fold) for fold in folds] for folds in runs]).mean(axis=1)
            for select in (
                lambda fold: fold.test_rmse,
                lambda fold: fold.test_mae,
                lambda fold: fold.cpu["train"],
            )
        )
        spread = f"{rmse.std():.4f}" if len(runs) > 1 else ""
        table.add_row(name, f"{rmse.mean():.4f}", spread, f"{mae.mean():.4f}", f"{cpu.mean():.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
