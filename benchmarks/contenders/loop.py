"""This project's training loop."""

from __future__ import annotations

import os

from benchmarks.contenders.measuring import EpochClock, Measured, arrays, settings
from benchmarks.contenders.own_models import statistics_of, test
from models.columns import RATING_COLUMNS, Columns, ColumnStorage, stream_columns
from models.contracts import predicts_ratings
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions
from models.training.epoch_order import EpochOrder
from models.training.loop import TrainingLoop
from models.training.progress import Progress


def main() -> None:
    """Trains and prints the result.

    Settings: `model`; `training`; `records`, a folder of TFRecords to read in place of the archive.
    """
    chosen, measured, given = settings(), Measured(), arrays()
    options = TrainingOptions.model_validate(chosen["training"])
    if chosen["records"]:
        given = {}
        with measured.timed("read"):
            ratings = _read(chosen["records"], options)
    else:
        ratings = {name: given[name] for name in RATING_COLUMNS}
    rows = len(ratings["rating"])
    statistics = statistics_of(ratings)
    model = build_model(ModelOptions.model_validate(chosen["model"]), statistics, options.seed)
    clock = EpochClock()

    def report(progress: Progress) -> None:
        if progress.fraction_of_epoch == 1:
            clock.epoch_ended()

    TrainingLoop(model, options, report=report).train_for(ratings, options.epochs)
    clock.write(measured)
    measured.ratings = rows * options.epochs
    _count_shuffling_apart(measured, rows, options)
    if "test_rating" in given:
        assert predicts_ratings(model)
        test(model, statistics, given, measured)
    measured.print()


def _read(folder: str, options: TrainingOptions) -> Columns:
    storage = ColumnStorage(options.memory_budget_bytes)
    parts = stream_columns([os.path.join(folder, "*")], RATING_COLUMNS)
    return storage.canonical_order(storage.collect(parts))


def _count_shuffling_apart(measured: Measured, rows: int, options: TrainingOptions) -> None:
    """Measures the shuffling, which the loop does while it trains, and subtracts it."""
    with measured.timed("shuffle"):
        for epoch in range(1, options.epochs + 1):
            EpochOrder(rows, options.seed, epoch).rows(0, rows)
    for seconds in (measured.wall, measured.cpu):
        seconds["train"] -= seconds["shuffle"]


if __name__ == "__main__":
    main()
