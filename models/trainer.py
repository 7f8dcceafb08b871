"""The Trainer step: `run_fn` reads, trains, exports."""

from __future__ import annotations

import logging
import os
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_transform as tft

from models import features, history, loop, signatures
from models.catalogue import read_catalogue
from models.columns import (
    RATING_COLUMNS,
    Columns,
    canonical_order,
    concatenate,
    read_columns,
    row_count,
)
from models.options import ModelOptions, TrainingOptions
from models.rating_statistics import RatingStatistics
from models.registry import build_model

_TRAIN_COLUMNS = {
    **RATING_COLUMNS,
    features.RATING_MEAN: tf.io.FixedLenFeature([], tf.float32),
}


class TrainerArguments(Protocol):
    """What `run_fn` uses of TFX's FnArgs."""

    train_files: list[str]
    eval_files: list[str]
    transform_graph_path: str
    serving_model_dir: str
    model_run_dir: str
    custom_config: dict[str, Any]


def run_fn(arguments: TrainerArguments) -> None:
    """Trains the configured model and exports it with its signatures.

    `custom_config` holds `model` and `training`, as JSON of the options of the same name.

    Raises:
        ValueError: a split is empty.
        TrainingDivergedError: the loss was not finite.
    """
    model_options = ModelOptions.model_validate(arguments.custom_config["model"])
    options = TrainingOptions.model_validate(arguments.custom_config["training"])
    transform = tft.TFTransformOutput(arguments.transform_graph_path)
    catalogue = read_catalogue(transform)

    train_ratings = canonical_order(read_columns(arguments.train_files, _TRAIN_COLUMNS))
    eval_ratings = canonical_order(read_columns(arguments.eval_files, RATING_COLUMNS))
    statistics = _statistics(train_ratings, len(catalogue.user_ids), len(catalogue.movie_ids))
    train_ratings = _known({name: train_ratings[name] for name in RATING_COLUMNS}, statistics)

    model = build_model(model_options, statistics, options.seed)
    epochs = loop.train(model, train_ratings, eval_ratings, options, _log_epoch)
    best = loop.best_epoch(epochs)
    fitted_on = train_ratings
    if options.refit:
        fitted_on = canonical_order(concatenate(train_ratings, _known(eval_ratings, statistics)))
        model = build_model(model_options, statistics, options.seed)
        loop.train_for(model, fitted_on, best, options, _log_epoch)

    history.write(
        _made(arguments.model_run_dir),
        history.TrainingHistory(
            epochs=[epoch.as_dict() for epoch in epochs],
            best_epoch=best,
            train_rmse=loop.rmse(model, train_ratings),
            eval_rmse=epochs[best - 1].eval_rmse,
            refit=options.refit,
        ),
    )
    seen = signatures.seen_movies(fitted_on, statistics.users)
    recommender = signatures.Recommender(model, transform, catalogue, seen)
    signatures.save(recommender, arguments.serving_model_dir)


def _statistics(ratings: Columns, users: int, movies: int) -> RatingStatistics:
    if not row_count(ratings):
        raise ValueError("the train split has no ratings: there is nothing to train on")
    return RatingStatistics(
        users=users,
        movies=movies,
        rating_mean=float(ratings[features.RATING_MEAN][0]),
        rating_min=float(ratings[features.RATING].min()),
        rating_max=float(ratings[features.RATING].max()),
    )


def _known(ratings: Columns, statistics: RatingStatistics) -> Columns:
    """The ratings whose user and movie are in the vocabularies.

    The rest must not train the out-of-vocabulary rows, which stand for everybody unknown.
    """
    known = (ratings[features.USER_INDEX] < statistics.users) & (
        ratings[features.MOVIE_INDEX] < statistics.movies
    )
    return {name: values[known] for name, values in ratings.items()}


def _log_epoch(result: loop.EpochResult) -> None:
    logging.info("epoch %d: loss %.4f, eval RMSE %.4f", result.epoch, result.loss, result.eval_rmse)


def _made(folder: str) -> str:
    os.makedirs(folder, exist_ok=True)
    return folder
