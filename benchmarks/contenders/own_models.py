"""Training and testing of this project's models, shared by contenders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.contenders.measuring import Arrays, Measured
from benchmarks.rating_sets import SIDES
from models.columns import RATING_COLUMNS, Columns, canonical_order
from models.contracts import Pairs, RankingModel, RatingModel
from models.factory import build_model
from models.intervals import LEVELS, negative_log_density, within
from models.layers.rating_heads import NormalRating
from models.rating_statistics import RatingStatistics, measure
from models.side_features import SEPARATOR, SideFeatures, Sides, side_features
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
    name: str,
    seed: int,
    given: Arrays,
    movies: int,
    measured: Measured,
    epochs: int | None = None,
) -> Trained:
    """Trains a model with its default options in the two passes of the pipeline's Trainer.

    The first pass finds the best epoch on a tenth of the ratings. The second trains on all ratings
    for that number of epochs. Where the number is known, there is no first pass.

    Args:
        name: Name of the model.
        seed: Seed of that tenth, of the initial weights and of the order of ratings.
        given: Training ratings, and side features if there are any.
        movies: Number of movies.
        measured: Result in which `train` and the number of ratings are set.
        epochs: Number of epochs; None finds it, but for a model whose default is one.
    """
    config = load_config(overrides=[f"model.name={name}", f"training.seed={seed}"])
    everything = canonical_order({column: given[column] for column in RATING_COLUMNS})
    is_eval = np.random.default_rng(seed).random(len(everything["rating"])) < _EVAL_FRACTION
    train = {column: values[~is_eval] for column, values in everything.items()}
    evaluation = {column: values[is_eval] for column, values in everything.items()}
    with measured.timed("train"):
        users = int(everything["user_index"].max()) + 1
        sides = Sides(
            *(_side(given, name, size) for name, size in zip(SIDES, (users, movies), strict=True))
        )
        part, whole = (
            measure(ratings, users, movies, sides=sides) for ratings in (train, everything)
        )
        options = config.training.options
        if options.epochs == 1:
            epochs = 1
        if epochs is None:
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
    """Sets the errors on the test ratings, and how sure a model was that says so.

    Users and movies beyond the tables are unknown. Those within the tables but without a training
    rating are not: they have their initial vectors, shrunk if a penalty covers the whole table.
    """
    users = given["test_user_index"].clip(max=statistics.users)
    movies = given["test_movie_index"].clip(max=statistics.movies)
    predicted = model.predict_rating(users, movies).numpy()
    measured.set_errors(predicted, given)
    head = model.rating_head()
    if isinstance(head, NormalRating):
        nowhere = tf.zeros([len(users), 1])
        variance = head.variance(Pairs(tf.constant(users), tf.constant(movies), nowhere, nowhere))
        _set_calibration(
            predicted.astype(np.float64),
            np.sqrt(variance.numpy().astype(np.float64)),
            given,
            measured,
        )


def _set_calibration(
    predicted: np.ndarray[Any, np.dtype[np.float64]],
    deviation: np.ndarray[Any, np.dtype[np.float64]],
    given: Arrays,
    measured: Measured,
) -> None:
    """Sets the likelihoods and coverages; the training ratings have every star of the scale."""
    ratings, stars = given["test_rating"], np.unique(given["rating"])
    half_step = np.diff(stars).min() / 2
    errors = (ratings - predicted) / deviation
    measured.test_nll = float(np.mean(negative_log_density(errors, deviation)))
    cumulative = np.vectorize(NormalDist().cdf)
    below, above = (
        np.where(ratings == end, float(side > 0), cumulative(errors + side / deviation))
        for end, side in ((stars[0], -half_step), (stars[-1], half_step))
    )
    measured.test_star_nll = float(-np.mean(np.log(above - below)))
    measured.coverage = [float(np.mean(within(errors, level))) for level in LEVELS]


def _side(given: Arrays, name: str, rows: int) -> SideFeatures:
    """Returns the side features of the first rows, none where the ratings have none."""
    lines: Iterable[str] = given[name][:rows] if name in given else []
    return side_features([line.split(SEPARATOR) if line else [] for line in lines])


def _to_nobody(progress: object) -> None:
    """Shows no progress."""
