"""Compares accuracy and cost of all models with those of other libraries.

    make peers
    .venv/bin/python -m benchmarks.accuracy [--seeds N] [--model NAME] [--folds N]
        [--data PATH] [--json]

The command prints two tables, of means over the five official folds of MovieLens-100K:

- RMSE and MAE of each model that predicts ratings, and the NLL of those that predict a normal
  distribution.
- NDCG@10, Recall@10 and Recall@20 of each retrieval model. Test ratings of four stars or more are
  relevant. Movies that the user rated in training are left out, and the rest of the 1,682 movies
  are ranked.

With a path there is the first table alone, over ten random folds of that data: nine tenths train
and a tenth is the test, as published for MovieLens 1M and 10M.

Each model trains on one core with its default options, as the pipeline's Trainer does: a tenth of
the training ratings sets the number of epochs, then the model trains again on all of them.
`bayesian_mf` has a fixed number of sweeps, and like the other libraries trains on all ratings at
once. The settings of Surprise SVD are the best of twenty on a tenth of the training ratings of
three folds. Those of Surprise SVD++ and Cornac MF are the best of a few, and those of myFM were not
searched.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import rating_sets
from benchmarks.contenders.measuring import Measured
from benchmarks.contenders.running import TUNED_SVD, require_peers, run
from components.errors import DataError
from components.movielens_example_gen.options import FOLDS
from models.registry import MODELS
from pipeline.config.errors import UserError

Peers = Mapping[str, tuple[str, dict[str, Any]]]
"""Contender and settings of each other model, by its name in the table."""

Results = dict[str, list[list[Measured]]]

_PEERS: Peers = {
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
    "myFM with the sets of both sides": (
        "my_fm",
        {"fm": {"rank": 10}, "fit": {"n_iter": 300, "n_kept_samples": 250}},
    ),
}

# The best of 4 settings of EASE and of 22 of ALS on a tenth of the first fold's training ratings.
_RETRIEVAL_PEERS: Peers = {
    "popularity": ("popularity", {}),
    "EASE": ("ease", {"l2": 400}),
    # The weights that the models of this project have for one star to five.
    "EASE on graded stars": ("ease", {"l2": 400, "grades": [0, 0.1, 0.4, 0.9, 1]}),
    "implicit ALS": (
        "implicit_als",
        {"als": {"factors": 32, "regularization": 20.0, "alpha": 2.0, "iterations": 15}},
    ),
}

_RANDOM_FOLDS = 10

# Field of `Measured` by heading.
_RATING_COLUMNS = {"RMSE": "test_rmse", "MAE": "test_mae", "NLL": "test_nll"}
_RETRIEVAL_COLUMNS = {
    "NDCG@10": "ndcg_at_10",
    "Recall@10": "recall_at_10",
    "Recall@20": "recall_at_20",
}


def measure(
    contender: str,
    names: Iterable[str],
    peers: Peers,
    archives: Sequence[Path],
    seeds: int,
    console: Console,
) -> Results:
    """Trains every model on every archive.

    Args:
        contender: Contender that trains this project's models.
        names: Names of this project's models.
        peers: Other models.
        archives: Files of training and test ratings.
        seeds: Number of seeds for each of this project's models; other models have one.
        console: Console that shows which contender runs.

    Returns:
        For each model, by seed, a result for each archive.
    """
    planned = {
        name: [(contender, {**_settings(name), "seed": seed}) for seed in range(seeds)]
        for name in names
    } | {name: [peer] for name, peer in peers.items()}
    results: Results = {}
    for name, by_seed in planned.items():
        results[name] = []
        for chosen, settings in by_seed:
            results[name].append([])
            for archive in archives:
                measured = run(chosen, archive, settings, console)
                # An interruption after hours does not lose them.
                console.print_json(data={name: asdict(measured), "on": archive.stem}, indent=None)
                results[name][-1].append(measured)
    return results


def _settings(name: str) -> dict[str, Any]:
    entry = MODELS[name]
    # An average of draws only gets better, so no rating has to choose when to stop.
    epochs = {"epochs": entry.training["epochs"]} if entry.predicts_intervals else {}
    return {"model": name, **epochs}


def as_table(title: str, results: Results, columns: Mapping[str, str]) -> Table:
    """Returns a table with means over folds and seeds, a row for each model.

    The first column has a standard deviation over seeds beside it. A model without a figure has
    nothing in its column.

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
            field: [_mean([getattr(fold, field) for fold in folds]) for folds in runs]
            for field in columns.values()
        }
        spread = f"{np.std(means[columns[first]]):.4f}" if len(runs) > 1 else ""
        figures = [
            "" if np.isnan(by_seed).any() else f"{np.mean(by_seed):.4f}"
            for by_seed in means.values()
        ]
        cpu = np.mean([fold.cpu["train"] for folds in runs for fold in folds])
        table.add_row(name, figures[0], spread, *figures[1:], f"{cpu:.1f}")
    return table


def _mean(values: Sequence[float | None]) -> float:
    """Returns the mean, not a number if a value is not known."""
    return float(np.mean([np.nan if value is None else value for value in values]))


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds for each of our models.")] = 1,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Row to measure, ours or of another library. May be repeated."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=1, help="Number of folds, the first ones; all if not given.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder, archive or file of other ratings; MovieLens-100K if not given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare accuracy and cost of all models with those of other libraries."""
    require_peers()
    rows = list(dict.fromkeys((*MODELS, *_PEERS, *_RETRIEVAL_PEERS)))
    chosen = set(model or rows)
    if unknown := chosen.difference(rows):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: expected {', '.join(rows)}")
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            archives = write_folds(Path(folder), data, folds)
        except (UserError, DataError) as error:
            raise SystemExit(str(error)) from error

        def measured(contender: str, names: Iterable[str], peers: Peers) -> Results:
            ours = [name for name in names if name in chosen]
            others = {name: peer for name, peer in peers.items() if name in chosen}
            return measure(contender, ours, others, archives, seeds, console)

        rated = measured(
            "rating_model", (n for n, m in MODELS.items() if m.predicts_ratings), _PEERS
        )
        retrieved: Results = {}
        # Lists are compared on the official folds alone: the rankers here hold whole matrices.
        if data is None:
            names = (name for name, entry in MODELS.items() if entry.retrieves)
            retrieved = measured("retrieval_model", names, _RETRIEVAL_PEERS)
    if as_json:
        print(json.dumps({"ratings": rated, "retrieval": retrieved}, default=asdict))
        return
    title = f"{data or 'MovieLens-100K'}, folds: {len(archives)}, one core"
    for results, columns in ((rated, _RATING_COLUMNS), (retrieved, _RETRIEVAL_COLUMNS)):
        if results:
            Console().print(as_table(title, results, columns))


def write_folds(folder: Path, data: Path | None, folds: int | None) -> list[Path]:
    """Writes folds of ratings with the side features that there are.

    Args:
        folder: Folder of the archives.
        data: Ratings to cut into ten random folds; None for the official ones of MovieLens-100K.
        folds: Number of folds, the first ones; None for all.

    Raises:
        UserError: The path does not exist, or is not recognised.
        DataError: The files cannot be read.
    """
    if data is None:
        ratings, sides = rating_sets.movielens_100k(), rating_sets.movielens_100k_sides()
        split, there = rating_sets.official_fold, FOLDS
    else:
        ratings, sides = rating_sets.of_path(data)
        split, there = partial(rating_sets.random_fold, folds=_RANDOM_FOLDS), _RANDOM_FOLDS
    archives = [folder / f"fold-{fold}.npz" for fold in range(1, min(folds or there, there) + 1)]
    for fold, archive in enumerate(archives, start=1):
        rating_sets.save({**split(ratings, fold), **sides}, archive)
    return archives


if __name__ == "__main__":
    typer.run(main)
