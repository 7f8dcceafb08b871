"""What the contenders that train a model of this project share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.contenders.measuring import Arrays, Measured, mae, rmse
from models.columns import RATING_COLUMNS, Columns, canonical_order
from models.contracts import RankingModel, RatingModel
from models.factory import build_model
from models.rating_statistics import RatingStatistics, measure
from models.training.history import best_epoch
from models.training.loop import TrainingLoop
from models.training.metrics import criterion_for
from pipeline.config.tree import load_config

_EVAL_FRACTION = 0.1


@dataclass(frozen=True)
class Trained:
    """A model, and the statistics of what it was trained on."""

    model: RankingModel
    statistics: RatingStatistics


def statistics_of(ratings: Columns) -> RatingStatistics:
    """Of ratings whose highest indices say how many users and movies there are."""
    return measure(
        ratings,
        users=int(ratings["user_index"].max()) + 1,
        movies=int(ratings["movie_index"].max()) + 1,
    )


def train_as_the_trainer_does(
    name: str, seed: int, given: Arrays, movies: int, measured: Measured
) -> Trained:
    """With the model's defaults: a tenth of the ratings finds the epochs, then all are trained on.

    Args:
        name: of the model.
        seed: of that tenth, the initial weights and the order of ratings.
        given: the training ratings.
        movies: how many there are.
        measured: gets `train` and the number of ratings.
    """
    config = load_config(overrides=[f"model.name={name}", f"training.seed={seed}"])
    everything = canonical_order({column: given[column] for column in RATING_COLUMNS})
    is_eval = np.random.default_rng(seed).random(len(everything["rating"])) < _EVAL_FRACTION
    train = {column: values[~is_eval] for column, values in everything.items()}
    evaluation = {column: values[is_eval] for column, values in everything.items()}
    with measured.timed("train"):
        users = int(everything["user_index"].max()) + 1
        part, whole = (measure(ratings, users, movies) for ratings in (train, everything))
        criterion = criterion_for(config.model, part)
        model = build_model(config.model, part, seed)
        loop = TrainingLoop(model, config.training.options, report=_to_nobody, criterion=criterion)
        epochs = best_epoch(loop.train(train, evaluation), criterion)
        model = build_model(config.model, whole, seed)
        TrainingLoop(model, config.training.options, report=_to_nobody).train_for(
            everything, epochs
        )
    measured.ratings = len(everything["rating"]) * epochs
    return Trained(model, whole)


def test(
    model: RatingModel, statistics: RatingStatistics, given: Arrays, measured: Measured
) -> None:
    """Fills in the errors on the test ratings.

    Users and movies beyond the tables are unknown. One within them that has no training rating is
    not: it has its initial vector, or what a penalty on the whole table has left of it.
    """
    users = given["test_user_index"].clip(max=statistics.users)
    movies = given["test_movie_index"].clip(max=statistics.movies)
    predicted = model.predict_rating(users, movies).numpy()
    measured.test_rmse = rmse(predicted, given["test_rating"])
    measured.test_mae = mae(predicted, given["test_rating"])


def _to_nobody(progress: object) -> None:
    """The figures at the end are enough."""
