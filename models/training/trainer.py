"""The Trainer step: `run_fn` reads, trains, exports."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Protocol

import tensorflow as tf

from models.catalogue import Catalogue
from models.columns import RATED_COLUMNS, Columns, ColumnStorage, in_parts, stream_columns
from models.contracts import RankingModel, predicts_ratings
from models.export import comparison_group, reference_predictions, signatures, warm_up
from models.options import ExportOptions, ModelOptions, TrainingOptions, with_values
from models.rating_statistics import RatingStatistics, measure
from models.registry import build_model, criterion_for
from models.seen_movies import newest
from models.training import criteria, devices, history, loop
from models.training.checkpoints import training_key
from models.training.criteria import Criterion
from models.training.loop import EpochResult, TrainingLoop
from models.training.top_k_accuracy import top_k_accuracy
from models.training.training_data import StepArguments, TrainingData, known, read_training_data


class TrainerArguments(StepArguments, Protocol):
    """What `run_fn` uses of TFX's FnArgs.

    Attributes:
        hyperparameters: KerasTuner's, from the Tuner step; None without one.
    """

    serving_model_dir: str
    model_run_dir: str
    hyperparameters: dict[str, Any] | None


@dataclass(frozen=True)
class _EvalFigures:
    """Of the best weights, before they are trained on the eval split too."""

    rmse: float | None
    top_k_accuracy: dict[str, float]


@dataclass(frozen=True)
class _Trained:
    """A model on this process's own device, how it came about, and what it was trained on.

    Attributes:
        refit: whether it was trained on the eval split too.
        statistics: of the ratings that it was trained on.
    """

    model: RankingModel
    criterion: Criterion[Any]
    epochs: list[EpochResult]
    eval_figures: _EvalFigures
    refit: bool
    statistics: RatingStatistics


@dataclass(frozen=True)
class _Setting:
    """What every training of one call of `run_fn` has in common."""

    model: ModelOptions
    training: TrainingOptions
    data: TrainingData
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
    """Trains the configured model and exports it with its signatures and warm-up requests.

    Beside the training's history it leaves what the model predicts for pairs of the holdout.

    `custom_config` holds `model`, `training` and `export`, as JSON of the options of that name,
    `checkpoints`, the folder for the state of trainings that were interrupted, and
    `code_fingerprint`, which state of other code does not have. `comparison_group`, if it is
    there, is written into the export. What the Tuner found best, if there is one, goes before
    `model` and `training`.

    Where TF_CONFIG names several workers, each calls this with the same arguments and folders
    that all of them see. The chief writes; the others return when it has.

    Raises:
        ValueError: a split is empty.
        ClusterError: TF_CONFIG is wrong, or another worker was lost; start all of them again.
        TrainingDivergedError: the loss, or a number in the tables of the export, was not finite.
        TrainingStoppedError: the process was told to terminate; run again, it goes on.
    """
    model_options, options = _chosen_options(arguments)
    task = devices.current_task()
    if devices.serves_others(options, task):
        devices.serve_others()
    # Before anything else runs in TensorFlow: the workers connect here.
    strategy = devices.choose_strategy(options, task)
    storage = ColumnStorage(options.memory_budget_bytes)
    data = read_training_data(arguments, storage)
    settings = {
        "model": model_options.model_dump(mode="json"),
        "training": options.model_dump(mode="json"),
        "code_fingerprint": arguments.custom_config["code_fingerprint"],
    }
    setting = _Setting(
        model=model_options,
        training=options,
        data=data,
        checkpoints=os.path.join(
            arguments.custom_config["checkpoints"],
            training_key(settings, data.train, data.evaluation),
        ),
        strategy=strategy,
    )
    trained = _train(setting, storage)
    processes = devices.Processes(strategy)
    if processes.is_chief:
        _write_history(arguments.model_run_dir, trained, data.train)
        _write_reference_predictions(arguments, trained.model, data.catalogue, storage)
        recommender = _recommender(arguments, model_options, data, trained)
        signatures.save(recommender, arguments.serving_model_dir)
        warm_up.write(arguments.serving_model_dir, recommender.signatures(), data.catalogue)
        if "comparison_group" in arguments.custom_config:
            comparison_group.write(
                arguments.serving_model_dir, arguments.custom_config["comparison_group"]
            )
        if tf.io.gfile.exists(setting.checkpoints):
            tf.io.gfile.rmtree(setting.checkpoints)
    with processes.explain_losses():
        processes.wait_for_all()


def _recommender(
    arguments: TrainerArguments, options: ModelOptions, data: TrainingData, trained: _Trained
) -> signatures.Recommender:
    export = ExportOptions.model_validate(arguments.custom_config["export"])
    statistics = trained.statistics
    files = [*arguments.train_files, *(arguments.eval_files if trained.refit else ())]
    return signatures.Recommender(
        model=trained.model,
        options=options,
        rating_range=(statistics.rating_min, statistics.rating_max),
        transform=data.transform,
        catalogue=data.catalogue,
        seen=newest(
            statistics.seen,
            export.max_seen_per_user,
            known(stream_columns(files, RATED_COLUMNS), data.catalogue),
        ),
        popularity=statistics.movie_rating_count,
    )


def _write_reference_predictions(
    arguments: TrainerArguments, model: RankingModel, catalogue: Catalogue, storage: ColumnStorage
) -> None:
    """For pairs of the holdout, of which nothing but the ids is read, and after the training."""
    files = reference_predictions.holdout_files(arguments.eval_files)
    pairs = reference_predictions.read_pairs(files, storage)
    reference_predictions.write(
        arguments.model_run_dir,
        reference_predictions.reference_predictions(model, pairs, catalogue),
    )


def _chosen_options(arguments: TrainerArguments) -> tuple[ModelOptions, TrainingOptions]:
    """Those of the configuration, with what the Tuner found best in place of some."""
    tuned = arguments.hyperparameters
    return with_values(
        ModelOptions.model_validate(arguments.custom_config["model"]),
        TrainingOptions.model_validate(arguments.custom_config["training"]),
        tuned["values"] if tuned else {},
    )


def _train(setting: _Setting, storage: ColumnStorage) -> _Trained:
    """Finds the number of epochs on eval and, if asked to, trains again on both splits."""
    data, statistics = setting.data, setting.data.statistics
    criterion = criterion_for(setting.model, statistics)
    model, training = setting.start("train", statistics, criterion)
    epochs = training.train(data.train, data.evaluation)
    known_eval = storage.collect(known(in_parts(data.evaluation), data.catalogue))
    model = setting.on_one_device(model, statistics)
    trained = _Trained(
        model=model,
        criterion=criterion,
        epochs=epochs,
        eval_figures=_eval_figures(setting.model, model, data.evaluation, known_eval),
        refit=False,
        statistics=statistics,
    )
    if not setting.training.refit:
        return trained
    both = storage.canonical_order(storage.collect(chain(in_parts(data.train), [known_eval])))
    statistics = measure(both, statistics.users, statistics.movies)
    model, training = setting.start("refit", statistics, criterion)
    training.train_for(both, loop.best_epoch(epochs, criterion))
    return replace(
        trained,
        model=setting.on_one_device(model, statistics),
        refit=True,
        statistics=statistics,
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
    tf.io.gfile.makedirs(folder)
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
