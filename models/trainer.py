"""The Trainer step: `run_fn` reads, trains, exports."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_transform as tft

from models import features, history, loop, signatures
from models.catalogue import read_catalogue
from models.checkpoints import training_key
from models.columns import (
    RATING_COLUMNS,
    Columns,
    canonical_order,
    concatenate,
    read_columns,
    row_count,
)
from models.loop import EpochResult, TrainingLoop
from models.options import ModelOptions, TrainingOptions
from models.progress import current_report
from models.rating_statistics import RatingStatistics
from models.registry import RatingModel, build_model

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


@dataclass(frozen=True)
class _Trained:
    """A model, how it came about, and the ratings that its weights were fitted on."""

    model: RatingModel
    epochs: list[EpochResult]
    refit: bool
    fitted_on: Columns


def run_fn(arguments: TrainerArguments) -> None:
    """Trains the configured model and exports it with its signatures.

    `custom_config` holds `model` and `training`, as JSON of the options of the same name,
    `checkpoints`, the folder for the state of trainings that were interrupted, and
    `code_fingerprint`, which state of other code does not have.

    Raises:
        ValueError: a split is empty.
        TrainingDivergedError: the loss was not finite.
        TrainingStoppedError: the process was told to terminate; run again, it goes on.
    """
    transform = tft.TFTransformOutput(arguments.transform_graph_path)
    catalogue = read_catalogue(transform)
    train_ratings = canonical_order(read_columns(arguments.train_files, _TRAIN_COLUMNS))
    eval_ratings = canonical_order(read_columns(arguments.eval_files, RATING_COLUMNS))
    statistics = _statistics(train_ratings, len(catalogue.user_ids), len(catalogue.movie_ids))
    train_ratings = _known({name: train_ratings[name] for name in RATING_COLUMNS}, statistics)

    folder = _checkpoint_folder(arguments.custom_config, train_ratings, eval_ratings)
    trained = _train(arguments.custom_config, folder, statistics, train_ratings, eval_ratings)
    _write_history(arguments.model_run_dir, trained, train_ratings)
    seen = signatures.seen_movies(trained.fitted_on, statistics.users)
    recommender = signatures.Recommender(trained.model, transform, catalogue, seen)
    signatures.save(recommender, arguments.serving_model_dir)
    if tf.io.gfile.exists(folder):
        tf.io.gfile.rmtree(folder)


def _train(
    custom_config: dict[str, Any],
    checkpoints: str,
    statistics: RatingStatistics,
    train_ratings: Columns,
    eval_ratings: Columns,
) -> _Trained:
    """Finds the number of epochs on eval and, if asked to, trains again on both splits."""
    model_options = ModelOptions.model_validate(custom_config["model"])
    options = TrainingOptions.model_validate(custom_config["training"])
    report = current_report.get()
    model = build_model(model_options, statistics, options.seed)
    training = TrainingLoop(model, options, f"{checkpoints}/train", report)
    epochs = training.train(train_ratings, eval_ratings)
    if not options.refit:
        return _Trained(model, epochs, False, train_ratings)
    both = canonical_order(concatenate(train_ratings, _known(eval_ratings, statistics)))
    model = build_model(model_options, statistics, options.seed)
    refitting = TrainingLoop(model, options, f"{checkpoints}/refit", report)
    refitting.train_for(both, loop.best_epoch(epochs))
    return _Trained(model, epochs, True, both)


def _write_history(folder: str, trained: _Trained, train_ratings: Columns) -> None:
    """Writes `history.json`, and the same as scalars for TensorBoard."""
    os.makedirs(folder, exist_ok=True)
    history.write(
        folder,
        history.TrainingHistory(
            epochs=[asdict(epoch) for epoch in trained.epochs],
            best_epoch=loop.best_epoch(trained.epochs),
            train_rmse=loop.rmse(trained.model, train_ratings),
            eval_rmse=loop.best_eval_rmse(trained.epochs),
            refit=trained.refit,
        ),
    )
    writer = tf.summary.create_file_writer(folder)
    with writer.as_default():
        for result in trained.epochs:
            for name in ("loss", "eval_rmse", "learning_rate"):
                tf.summary.scalar(name, getattr(result, name), step=result.epoch)
    writer.close()


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


def _checkpoint_folder(custom_config: dict[str, Any], *data: Columns) -> str:
    """A folder that the same training finds again after it was interrupted."""
    settings = {name: custom_config[name] for name in ("model", "training", "code_fingerprint")}
    return os.path.join(custom_config["checkpoints"], training_key(settings, *data))
