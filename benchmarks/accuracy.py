"""Compares accuracy and cost of all models with those of other libraries on MovieLens-100K.

    make peers
    .venv/bin/python -m benchmarks.accuracy [--seeds N] [--json]

The command prints two tables:

- RMSE and MAE of each model that predicts ratings, over the five official folds.
- NDCG@10, Recall@10 and Recall@20 of each retrieval model on the first official fold. Test ratings
  of four stars or more are relevant. Movies that the user rated in training are left out, and the
  rest of the 1,682 movies are ranked.

Each model trains on one core with its default options, as the pipeline's Trainer does: a tenth of
the training ratings sets the number of epochs, then the model trains again on all of them. The
other libraries train on all of them at once. The settings of Surprise SVD are the best of twenty on
a tenth of the training ratings of three folds. Those of Surprise SVD++ and Cornac MF are the
best of a few, and those of myFM were not searched.
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

# Contender and settings, by the name in the table.
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
    "myFM, sets of both sides": (
        "my_fm",
        {"fm": {"rank": 10}, "fit": {"n_iter": 300, "n_kept_samples": 250}},
    ),
}

# The best of 4 settings of EASE and of 22 of ALS on a tenth of the first fold's training ratings.
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
    """Trains every model on every archive.

    Args:
        contender: Contender that trains this project's models.
        names: Names of this project's models.
        peers: Contender and settings of each other model, by its name in the table.
        archives: Files of training and test ratings.
        seeds: Number of seeds for each of this project's models; other models have one.
        console: Console that shows which contender runs.

    Returns:
        For each model, by seed, a result for each archive.
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


def as_table(title: str, results: Results, columns: Mapping[str, str]) -> Table:
    """Returns a table with means over folds and seeds, a row for each model.

    The first column has a standard deviation over seeds beside it.

    Args:
        title: Title of the table.
        results: Results of `measure`.
        columns: Field of `Measured` for each heading.
    """
    first, *others = columns
    table = Table(title=title)
    for heading in ("", first, "± over seeds", *others, "CPU s"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, runs in results.items():
        # For each field, a mean over the folds by seed.
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
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds for each of our models.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare accuracy and cost of all models with those of other libraries."""
    require_peers()
    models = [ModelOptions(name=name) for name in MODELS]
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        ratings, sides = rating_sets.movielens_100k(), rating_sets.movielens_100k_sides()
        archives = [Path(folder, f"fold-{fold}.npz") for fold in range(1, FOLDS + 1)]
        for fold, archive in enumerate(archives, start=1):
            rating_sets.save({**rating_sets.official_fold(ratings, fold), **sides}, archive)
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
        as_table(
            "five official folds of MovieLens-100K, one core",
            rated,
            {"RMSE": "test_rmse", "MAE": "test_mae"},
        ),
        as_table(
            "first official fold of MovieLens-100K, one core",
            retrieved,
            {"NDCG@10": "ndcg_at_10", "Recall@10": "recall_at_10", "Recall@20": "recall_at_20"},
        ),
    )


if __name__ == "__main__":
    typer.run(main)
