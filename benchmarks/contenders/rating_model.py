"""A rating model of this project, trained as the pipeline's Trainer does."""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.measuring import Measured, arrays, mae, rmse, settings
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
    users, movies = (int(everything[f"{name}_index"].max()) + 1 for name in ("user", "movie"))
    mean = float(everything["rating"].mean())
    is_eval = np.random.default_rng(chosen["seed"]).random(len(everything["rating"]))
    is_eval = is_eval < _EVAL_FRACTION
    train = {name: values[~is_eval] for name, values in everything.items()}
    evaluation = {name: values[is_eval] for name, values in everything.items()}

    with measured.timed("train"):
        statistics = measure(train, users, movies, mean)
        model = build_model(config.model, statistics, options.seed)
        history = TrainingLoop(model, options, report=_to_nobody).train(train, evaluation)
        statistics = measure(everything, users, movies, mean)
        model = build_model(config.model, statistics, options.seed)
        training = TrainingLoop(model, options, report=_to_nobody)
        training.train_for(everything, best_epoch(history))
    measured.ratings = len(everything["rating"]) * best_epoch(history)
    user, movie = given["test_user_index"].clip(max=users), given["test_movie_index"]
    predicted = model.predict_rating(user, movie.clip(max=movies)).numpy()
    measured.test_rmse = rmse(predicted, given["test_rating"])
    measured.test_mae = mae(predicted, given["test_rating"])
    measured.print()


def _to_nobody(progress: object) -> None:
    """The figures at the end are enough."""


if __name__ == "__main__":
    main()
