"""Training and testing of this project's models, shared by contenders."""

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
    """A trained model.

    Attributes:
        model: Model with its final weights.
        statistics: Statistics of its training ratings.
    """

    model: RankingModel
    statistics: RatingStatistics


def statistics_of(ratings: Columns) -> RatingStatistics:
    """Returns the statistics of ratings; the highest indices give the table sizes."""
    return measure(
        ratings,
        users=int(ratings["user_index"].max()) + 1,
        movies=int(ratings["movie_index"].max()) + 1,
    )


def train_as_the_trainer_does(
    name: str, seed: int, given: Arrays, movies: int, measured: Measured
) -> Trained:
    """Trains a model with its default options in the two passes of the pipeline's Trainer.

    The first pass finds the best epoch on a tenth of the ratings. The second trains on all ratings
    for that number of epochs. A model of one epoch needs no first pass.

    Args:
        name: Name of the model.
        seed: Seed of that tenth, of the initial weights and of the order of ratings.
        given: Training ratings.
        movies: Number of movies.
        measured: Result in which `train` and the number of ratings are set.
    """
    config = load_config(overrides=[f"model.name={name}", f"training.seed={seed}"])
    everything = canonical_order({column: given[column] for column in RATING_COLUMNS})
    is_eval = np.random.default_rng(seed).random(len(everything["rating"])) < _EVAL_FRACTION
    train = {column: values[~is_eval] for column, values in everything.items()}
    evaluation = {column: values[is_eval] for column, values in everything.items()}
    with measured.timed("train"):
        users = int(everything["user_index"].max()) + 1
        part, whole = (measure(ratings, users, movies) for ratings in (train, everything))
        options, epochs = config.training.options, 1
        if options.epochs > 1:
            criterion = criterion_for(config.model, options, part)
            model = build_model(config.model, part, seed)
            loop = TrainingLoop(model, options, report=_to_nobody, criterion=criterion)
            epochs = best_epoch(loop.train(train, evaluation), criterion)
        model = build_model(config.model, whole, seed)
        TrainingLoop(model, options, report=_to_nobody).train_for(everything, epochs)
    measured.ratings = len(everything["rating"]) * epochs
    return Trained(model, whole)


def test(
    model: RatingModel, statistics: RatingStatistics, given: Arrays, measured: Measured
) -> None:
    """Sets the errors on the test ratings.

    Users and movies beyond the tables are unknown. Those within the tables but without a training
    rating are not: they have their initial vectors, shrunk if a penalty covers the whole table.
    """
    users = given["test_user_index"].clip(max=statistics.users)
    movies = given["test_movie_index"].clip(max=statistics.movies)
    predicted = model.predict_rating(users, movies).numpy()
    measured.test_rmse = rmse(predicted, given["test_rating"])
    measured.test_mae = mae(predicted, given["test_rating"])


def _to_nobody(progress: object) -> None:
    """Shows no progress."""
