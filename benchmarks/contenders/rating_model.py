"""A rating model of this project, trained as the pipeline's Trainer does."""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.measuring import Measured, arrays, settings
from benchmarks.contenders.own_models import statistics_of, test
from models.columns import RATING_COLUMNS, canonical_order
from models.loop import TrainingLoop, best_epoch
from models.rating_statistics import measure
from models.registry import build_model
from pipeline.config import load_config

_EVAL_FRACTION = 0.1


def main() -> None:
    """Settings: `model`, its name, and `seed`. A tenth of the ratings serves early stopping."""
    chosen, measured, given = settings(), Measured(), arrays()
    config = load_config(overrides=[f"model.name={chosen['model']}"])
    options = config.training.model_copy(update={"seed": chosen["seed"]})
    everything = canonical_order({name: given[name] for name in RATING_COLUMNS})
    is_eval = np.random.default_rng(chosen["seed"]).random(len(everything["rating"]))
    is_eval = is_eval < _EVAL_FRACTION
    train = {name: values[~is_eval] for name, values in everything.items()}
    evaluation = {name: values[is_eval] for name, values in everything.items()}

    with measured.timed("train"):
        whole = statistics_of(everything)
        part = measure(train, whole.users, whole.movies, whole.rating_mean)
        model = build_model(config.model, part, options.seed)
        history = TrainingLoop(model, options, report=_to_nobody).train(train, evaluation)
        model = build_model(config.model, whole, options.seed)
        training = TrainingLoop(model, options, report=_to_nobody)
        training.train_for(everything, best_epoch(history))
    measured.ratings = len(everything["rating"]) * best_epoch(history)
    test(model, whole, given, measured)
    measured.print()


def _to_nobody(progress: object) -> None:
    """The figures at the end are enough."""


if __name__ == "__main__":
    main()
