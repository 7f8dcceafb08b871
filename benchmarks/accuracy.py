"""Figures and cost of every model on MovieLens-100K, beside those of other projects.

    make peers
    .venv/bin/python -m benchmarks.accuracy [--seeds N] [--json]

- RMSE and MAE of every model that predicts ratings, over the official folds.
- NDCG@10, Recall@10 and Recall@20 of every retrieval model on the first official fold. Relevant are
  test ratings of four stars or more; movies that the user rated in training are left out, and all
  others of the 1,682 are ranked.

Each model is trained on one core with its defaults, as the pipeline's Trainer does it: a tenth of
the training ratings finds the number of epochs, then all are trained on. Peers are trained on all.
The settings of Surprise SVD are the best of twenty on a tenth of three folds' training ratings,
those of the others, for RMSE, the best of a few.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
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
from models.options import ModelOptions
from models.registry import MODELS

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


# The best of 4 settings of EASE and 22 of ALS on a tenth of the first fold's training ratings.
_RETRIEVAL_PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "popularity": ("popularity", {}),
    "EASE": ("ease", {"l2": 400}),
    "implicit ALS": (
        "implicit_als",
        {"als": {"factors": 32, "regularization": 20.0, "alpha": 2.0, "iterations": 15}},
    ),
}

Results = dict[str, list[list[Measured]]]


def measure(
    contender: str,
    names: Iterable[str],
    peers: Mapping[str, tuple[str, dict[str, Any]]],
    archives: Sequence[Path],
    seeds: int,
    console: Console,
) -> Results:
    """For each model, by seed, what it took on each archive.

    Args:
        contender: what trains our models.
        names: of our models.
        peers: by the name shown, the contender and its settings.
        archives: of training and test ratings.
        seeds: how many of our models.
        console: shows what runs.
    """
    ours = {}
    for name in names:
        settings = [{"model": name, "seed": seed} for seed in range(seeds)]
        ours[name] = [
            [run(contender, archive, chosen, console) for archive in archives]
            for chosen in settings
        ]
    others = {
        name: [[run(peer, archive, settings, console) for archive in archives]]
        for name, (peer, settings) in peers.items()
    }
    return {**ours, **others}


def _table(title: str, results: Results, columns: Mapping[str, str]) -> Table:
    """A line for each model: means over folds and seeds, and the first column's spread over seeds.

    Args:
        title: of the table.
        results: what was measured.
        columns: by heading, the field of `Measured`.
    """
    first, *others = columns
    table = Table(title=title)
    for heading in ("", first, "± over seeds", *others, "CPU s"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, runs in results.items():
        # By field, one mean over the folds for each seed.
        means = {
            field: [float(np.mean([getattr(fold, field) for fold in folds])) for folds in runs]
            for field in columns.values()
        }
        spread = f"{np.std(means[columns[first]]):.4f}" if len(runs) > 1 else ""
        figures = [f"{np.mean(by_seed):.4f}" for by_seed in means.values()]
        cpu = np.mean([fold.cpu["train"] for folds in runs for fold in folds])
        table.add_row(name, figures[0], spread, *figures[1:], f"{cpu:.1f}")
    return table


def main(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds of our models.")] = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Prints a line for each model; with seeds, their spread."""
    require_peers()
    models = [ModelOptions(name=name) for name in MODELS]
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        ratings = rating_sets.movielens_100k()
        archives = [Path(folder, f"fold-{fold}.npz") for fold in range(1, FOLDS + 1)]
        for fold, archive in enumerate(archives, start=1):
            rating_sets.save(rating_sets.official_fold(ratings, fold), archive)
        rating_models = [model.name for model in models if model.predicts_ratings]
        rated = measure("rating_model", rating_models, _PEERS, archives, seeds, console)
        retrieval_models = [model.name for model in models if model.retrieves]
        retrieved = measure(
            "retrieval_model", retrieval_models, _RETRIEVAL_PEERS, archives[:1], seeds, console
        )
    if as_json:
        print(json.dumps({"ratings": rated, "retrieval": retrieved}, default=asdict))
        return
    Console().print(
        _table(
            "five official folds of MovieLens-100K, one core",
            rated,
            {"RMSE": "test_rmse", "MAE": "test_mae"},
        ),
        _table(
            "first official fold of MovieLens-100K, one core",
            retrieved,
            {"NDCG@10": "ndcg_at_10", "Recall@10": "recall_at_10", "Recall@20": "recall_at_20"},
        ),
    )


if __name__ == "__main__":
    typer.run(main)
