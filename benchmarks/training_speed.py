"""Compares the speed of this project's training loop with others on the same factorisation.

    make peers
    .venv/bin/python -m benchmarks.training_speed [--json]

Each contender is a process on one core. Speed is measured on MovieLens-100K and on ten million
synthetic ratings. The cost of an accurate model is measured on the five official folds of
MovieLens-100K.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
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

_DIMENSION = 32
# As large as in tutorials. Batches as small as the loop's would slow these contenders down.
_TFRECORD_BATCH = 4096
_TFRS_BATCH = 8192
# A fraction of the ten million is enough to see how fast these contenders are.
_TFRECORD_RATINGS = 500_000
_TFRS_RATINGS = 2_000_000

# Chosen as `TUNED_SVD` was.
_ACCURATE_LOOP = {
    "model": {"dimension": 64, "init_stddev": 0.05, "l2_embedding": 0.08},
    "training": {"epochs": 20, "learning_rate": 10.0, "batch_size": 512},
}


@dataclass(frozen=True)
class RatingSet:
    """Ratings on disk, and how contenders train on them.

    Attributes:
        name: Name in the table.
        archive: NumPy archive of the columns.
        records: Folder of TFRecords with the same ratings.
        ratings: Number of ratings.
        epochs: Number of epochs.
        batch_size: Batch size of the loop.
    """

    name: str
    archive: Path
    records: Path
    ratings: int
    epochs: int
    batch_size: int


def measure_speed(folder: Path, console: Console) -> dict[str, dict[str, Measured]]:
    """Measures each contender on each set of ratings.

    Returns:
        Results by set of ratings and contender.
    """
    sets = [
        _store(folder, "ML-100K", rating_sets.movielens_100k(), epochs=20, batch_size=512),
        _store(
            folder,
            "synthetic 10M",
            rating_sets.synthetic(10_000_000, 70_000, 10_000),
            epochs=3,
            batch_size=2048,
        ),
    ]
    return {
        one.name: {
            name: run(name, one.archive, settings, console)
            for name, settings in speed_settings(one).items()
        }
        for one in sets
    }


def measure_accuracy(folder: Path, console: Console) -> dict[str, list[Measured]]:
    """Measures each contender on each official fold, with its RMSE on the test ratings.

    Returns:
        Results by contender, in the order of the folds.
    """
    ratings = rating_sets.movielens_100k()
    results: dict[str, list[Measured]] = {"loop": [], "surprise_svd": []}
    for fold in range(1, FOLDS + 1):
        archive = folder / f"fold-{fold}.npz"
        rating_sets.save(rating_sets.official_fold(ratings, fold), archive)
        results["loop"].append(run("loop", archive, {"records": "", **_ACCURATE_LOOP}, console))
        results["surprise_svd"].append(run("surprise_svd", archive, {"svd": TUNED_SVD}, console))
    return results


def _store(
    folder: Path, name: str, ratings: rating_sets.Arrays, epochs: int, batch_size: int
) -> RatingSet:
    archive, records = folder / f"{name}.npz", folder / name
    records.mkdir()
    rating_sets.save(ratings, archive)
    rating_sets.write_records(ratings, str(records))
    return RatingSet(name, archive, records, len(ratings["rating"]), epochs, batch_size)


def speed_settings(one: RatingSet) -> dict[str, dict[str, Any]]:
    """Returns the settings of each contender for a set of ratings."""
    model = {"dimension": _DIMENSION}
    training = {"epochs": one.epochs, "batch_size": one.batch_size, "learning_rate": 1.0}
    tfrs = {
        "dimension": _DIMENSION,
        "batch_size": _TFRS_BATCH,
        "epochs": 2,
        "ratings": min(one.ratings, _TFRS_RATINGS),
    }
    return {
        "loop": {"model": model, "training": training, "records": str(one.records)},
        "tfrecord_loop": {
            "model": model,
            "records": str(one.records),
            "batch_size": _TFRECORD_BATCH,
            "epochs": 2,
            "ratings": min(one.ratings, _TFRECORD_RATINGS),
        },
        "tfrs_fit": tfrs,
        "tfrs_tutorial": tfrs,
        "surprise_svd": {"svd": {"n_factors": _DIMENSION, "n_epochs": one.epochs}},
        "cornac_mf": {"mf": {"k": _DIMENSION, "max_iter": one.epochs}},
        "numba_sgd": {"dimension": _DIMENSION, "epochs": one.epochs},
    }


def speed_table(name: str, results: dict[str, Measured]) -> Table:
    """Returns a table of speed and memory, a row for each contender."""
    table = Table(title=f"{name}, dimension {_DIMENSION}, one core")
    for column in ("", "read s", "shuffle s", "compile s", "M ratings/s", "ours is", "peak MiB"):
        table.add_column(column, justify="right" if column else "left")
    ours = _rate(results["loop"])
    for contender, measured in results.items():
        parts = (measured.wall.get(part) for part in ("read", "shuffle", "compile"))
        table.add_row(
            contender,
            *("" if seconds is None else f"{seconds:.1f}" for seconds in parts),
            f"{_rate(measured) / 1e6:.2f}",
            f"{ours / _rate(measured):.1f} x",
            f"{measured.peak_mib:.0f}",
        )
    return table


def accuracy_table(results: dict[str, list[Measured]]) -> Table:
    """Returns a table of the RMSE and its cost, a row for each contender."""
    table = Table(title="five official folds of MovieLens-100K, one core")
    for column in ("", "test RMSE", "CPU s a fold", "compile CPU s"):
        table.add_column(column, justify="right" if column else "left")
    for contender, folds in results.items():
        training = [fold.cpu["train"] + fold.cpu.get("shuffle", 0.0) for fold in folds]
        compiling = [fold.cpu.get("compile", 0.0) for fold in folds]
        table.add_row(
            contender,
            f"{np.mean([fold.test_rmse for fold in folds]):.4f}",
            f"{np.mean(training):.2f} ± {np.std(training):.2f}",
            f"{np.mean(compiling):.2f}" if any(compiling) else "",
        )
    return table


def _rate(measured: Measured) -> float:
    """Returns the ratings a second in training."""
    return measured.ratings / measured.wall["train"]


def main(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Compare the speed of this project's training loop with others."""
    require_peers()
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        speed = measure_speed(Path(folder), progress)
        accuracy = measure_accuracy(Path(folder), progress)
    if as_json:
        print(json.dumps({"speed": speed, "accuracy": accuracy}, default=asdict))
        return
    console = Console()
    for name, results in speed.items():
        console.print(speed_table(name, results))
    console.print(accuracy_table(accuracy))


if __name__ == "__main__":
    typer.run(main)
