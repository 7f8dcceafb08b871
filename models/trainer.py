"""The Trainer step: `run_fn` reads, trains, exports."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_transform as tft

from models import criteria, devices, features, history, loop, signatures
from models.catalogue import Catalogue, read_catalogue
from models.checkpoints import training_key
from models.columns import (
    RATING_COLUMNS,
    Columns,
    ColumnStorage,
    in_parts,
    row_count,
    stream_columns,
)
from models.contracts import RankingModel, predicts_ratings
from models.criteria import Criterion
from models.loop import EpochResult, TrainingLoop
from models.options import ModelOptions, TrainingOptions
from models.rating_statistics import RatingStatistics, measure, movie_counts
from models.registry import build_model, criterion_for
from models.seen_movies import seen_movies
from models.top_k_accuracy import top_k_accuracy

# Every row has it; the first is enough.
_RATING_MEAN_COLUMN = {features.RATING_MEAN: tf.io.FixedLenFeature([], tf.float32)}


class TrainerArguments(Protocol):
    """What `run_fn` uses of TFX's FnArgs."""

    train_files: list[str]
    eval_files: list[str]
    transform_graph_path: str
    serving_model_dir: str
    model_run_dir: str
    custom_config: dict[str, Any]


@dataclass(frozen=True)
class _EvalFigures:
    """Of the best weights, before they are trained on the eval split too."""

    rmse: float | None
    top_k_accuracy: dict[str, float]


@dataclass(frozen=True)
class _Trained:
    """A model on this process's own device, how it came about, and what it was fitted on."""

    model: RankingModel
    criterion: Criterion[Any]
    epochs: list[EpochResult]
    eval_figures: _EvalFigures
    refit: bool
    fitted_on: Columns


@dataclass(frozen=True)
class _Setting:
    """What every training of one call of `run_fn` has in common."""

    model: ModelOptions
    training: TrainingOptions
    catalogue: Catalogue
    statistics: RatingStatistics
    checkpoints: str
    strategy: tf.distribute.Strategy

    def start(
        self, name: str, statistics: RatingStatistics, criterion: Criterion[Any]
    ) -> tuple[RankingModel, TrainingLoop]:
        """A model with its initial weights, or where it was interrupted, and its loop."""
        options = self.training
        with self.strategy.scope():
            model = build_model(self.model, statistics, options.seed, options.precision)
        folder = os.path.join(self.checkpoints, name)
        return model, TrainingLoop(
            model, options, folder, strategy=self.strategy, criterion=criterion
        )

    def on_one_device(self, model: RankingModel, statistics: RatingStatistics) -> RankingModel:
        """A copy of the model that needs none of the others' devices."""
        copy = build_model(self.model, statistics, self.training.seed)
        devices.copy_weights(model.trainable_variables, copy.trainable_variables)
        return copy


def run_fn(arguments: TrainerArguments) -> None:
    """Trains the configured model and exports it with its signatures.

    `custom_config` holds `model` and `training`, as JSON of the options of the same name,
    `checkpoints`, the folder for the state of trainings that were interrupted, and
    `code_fingerprint`, which state of other code does not have.

    Where TF_CONFIG names several workers, each calls this with the same arguments and folders
    that all of them see. The chief writes; the others return when it has.

    Raises:
        ValueError: a split is empty.
        ClusterError: TF_CONFIG is wrong, or another worker was lost; start all of them again.
        TrainingDivergedError: the loss was not finite.
        TrainingStoppedError: the process was told to terminate; run again, it goes on.
    """
    options = TrainingOptions.model_validate(arguments.custom_config["training"])
    task = devices.current_task()
    if devices.serves_others(options, task):
        devices.serve_others()
    # Before anything else runs in TensorFlow: the workers connect here.
    strategy = devices.choose_strategy(options, task)
    transform = tft.TFTransformOutput(arguments.transform_graph_path)
    catalogue = read_catalogue(transform)
    storage = ColumnStorage(options.memory_budget_bytes)
    train, evaluation = (
        stream_columns(files, RATING_COLUMNS)
        for files in (arguments.train_files, arguments.eval_files)
    )
    train_ratings = storage.canonical_order(storage.collect(_known(train, catalogue)))
    eval_ratings = storage.canonical_order(storage.collect(evaluation))
    statistics = _statistics(arguments.train_files, train_ratings, catalogue)

    setting = _Setting(
        model=ModelOptions.model_validate(arguments.custom_config["model"]),
        training=options,
        catalogue=catalogue,
        statistics=statistics,
        checkpoints=_checkpoint_folder(arguments.custom_config, train_ratings, eval_ratings),
        strategy=strategy,
    )
    trained = _train(setting, storage, train_ratings, eval_ratings)
    processes = devices.Processes(strategy)
    if processes.is_chief:
        _write_history(arguments.model_run_dir, trained, train_ratings)
        seen = seen_movies(trained.fitted_on, statistics.users)
        recommender = signatures.Recommender(
            trained.model, transform, catalogue, seen, setting.model.retrieves
        )
        signatures.save(recommender, arguments.serving_model_dir)
        if tf.io.gfile.exists(setting.checkpoints):
            tf.io.gfile.rmtree(setting.checkpoints)
    with processes.explain_losses():
        processes.wait_for_all()


def _train(
    setting: _Setting, storage: ColumnStorage, train_ratings: Columns, eval_ratings: Columns
) -> _Trained:
    """Finds the number of epochs on eval and, if asked to, trains again on both splits."""
    statistics = setting.statistics
    criterion = criterion_for(setting.model, statistics)
    model, training = setting.start("train", statistics, criterion)
    epochs = training.train(train_ratings, eval_ratings)
    known_eval = storage.collect(_known(in_parts(eval_ratings), setting.catalogue))
    model = setting.on_one_device(model, statistics)
    trained = _Trained(
        model=model,
        criterion=criterion,
        epochs=epochs,
        eval_figures=_eval_figures(setting.model, model, eval_ratings, known_eval),
        refit=False,
        fitted_on=train_ratings,
    )
    if not setting.training.refit:
        return trained
    both = storage.canonical_order(
        storage.collect(chain(in_parts(train_ratings), in_parts(known_eval)))
    )
    statistics = replace(
        statistics,
        movie_rating_count=movie_counts(both, statistics.movies),
        seen=seen_movies(both, statistics.users),
    )
    model, training = setting.start("refit", statistics, criterion)
    training.train_for(both, loop.best_epoch(epochs, criterion))
    return replace(
        trained, model=setting.on_one_device(model, statistics), refit=True, fitted_on=both
    )


def _eval_figures(
    options: ModelOptions, model: RankingModel, ratings: Columns, known: Columns
) -> _EvalFigures:
    """Of a model on one device.

    Args:
        options: which model it is.
        model: not trained on the ratings.
        ratings: all of the eval split.
        known: those whose user and movie are in the vocabularies.
    """
    return _EvalFigures(
        rmse=criteria.rmse(model, ratings) if predicts_ratings(model) else None,
        top_k_accuracy=top_k_accuracy(model, criteria.liked_pairs(known, options.liked_rating))
        if options.retrieves
        else {},
    )


def _write_history(folder: str, trained: _Trained, train_ratings: Columns) -> None:
    """Writes `history.json`, and the same as scalars for TensorBoard."""
    os.makedirs(folder, exist_ok=True)
    criterion = trained.criterion
    history.write(
        folder,
        history.TrainingHistory(
            criterion=criterion.key,
            epochs=[asdict(epoch) for epoch in trained.epochs],
            best_epoch=loop.best_epoch(trained.epochs, criterion),
            eval_figure=loop.best_eval_figure(trained.epochs, criterion),
            eval_rmse=trained.eval_figures.rmse,
            train_rmse=criteria.rmse(trained.model, train_ratings)
            if predicts_ratings(trained.model)
            else None,
            eval_top_k_accuracy=trained.eval_figures.top_k_accuracy,
            refit=trained.refit,
        ),
    )
    writer = tf.summary.create_file_writer(folder)
    with writer.as_default():
        for epoch in trained.epochs:
            tf.summary.scalar("loss", epoch.loss, step=epoch.epoch)
            tf.summary.scalar(f"eval_{criterion.key}", epoch.eval_figure, step=epoch.epoch)
            tf.summary.scalar("learning_rate", epoch.learning_rate, step=epoch.epoch)
    writer.close()


def _statistics(files: Sequence[str], ratings: Columns, catalogue: Catalogue) -> RatingStatistics:
    if not row_count(ratings):
        raise ValueError(
            "no rating to train on: the train split is empty, or transform.min_ratings_per_user "
            "and min_ratings_per_movie leave nobody"
        )
    mean = next(
        float(part[features.RATING_MEAN][0])
        for part in stream_columns(files, _RATING_MEAN_COLUMN)
        if row_count(part)
    )
    return measure(ratings, len(catalogue.user_ids), len(catalogue.movie_ids), mean)


def _known(parts: Iterable[Columns], catalogue: Catalogue) -> Iterator[Columns]:
    """The ratings whose user and movie are in the vocabularies.

    The rest must not train the out-of-vocabulary rows, which stand for everybody unknown.
    """
    for part in parts:
        known = (part[features.USER_INDEX] < len(catalogue.user_ids)) & (
            part[features.MOVIE_INDEX] < len(catalogue.movie_ids)
        )
        yield {name: values[known] for name, values in part.items()}


def _checkpoint_folder(custom_config: dict[str, Any], *data: Columns) -> str:
    """A folder that the same training finds again after it was interrupted."""
    settings = {name: custom_config[name] for name in ("model", "training", "code_fingerprint")}
    return os.path.join(custom_config["checkpoints"], training_key(settings, *data))
