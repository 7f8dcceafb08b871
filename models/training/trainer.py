"""The Trainer step: `run_fn` reads the data, trains and exports."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Protocol

import tensorflow as tf

from models.catalogue import Catalogue
from models.columns import RATED_COLUMNS, Columns, ColumnStorage, in_parts, stream_columns
from models.contracts import RankingModel, predicts_ratings
from models.export import reference_predictions, saved_model, warm_up
from models.export.signatures import Recommender
from models.factory import build_model
from models.options import ExportOptions, ModelOptions, TrainingOptions, with_values
from models.rating_statistics import RatingStatistics, measure
from models.seen_movies import newest
from models.training import devices, history, metrics
from models.training.checkpoints import training_key
from models.training.history import EpochResult
from models.training.loop import TrainingLoop
from models.training.metrics import Criterion
from models.training.training_data import StepArguments, TrainingData, known, read_training_data


class TrainerArguments(StepArguments, Protocol):
    """The fields of TFX's FnArgs that `run_fn` needs.

    Attributes:
        hyperparameters: KerasTuner's best values from the Tuner step; None without one.
    """

    serving_model_dir: str
    model_run_dir: str
    hyperparameters: dict[str, Any] | None


@dataclass(frozen=True)
class _EvalFigures:
    """Figures of the best weights on the eval split, before they are trained on it."""

    rmse: float | None
    top_k_accuracy: dict[str, float]


@dataclass(frozen=True)
class _Trained:
    """A trained model on the device of this process, and its history.

    Attributes:
        model: Model to export.
        criterion: Criterion of early stopping.
        epochs: Results of the epochs before the refit.
        eval_figures: Figures on the eval split before the refit.
        refit: Whether the model was trained on the eval split too.
        statistics: Statistics of the ratings that it was trained on.
    """

    model: RankingModel
    criterion: Criterion[Any]
    epochs: list[EpochResult]
    eval_figures: _EvalFigures
    refit: bool
    statistics: RatingStatistics


@dataclass(frozen=True)
class _Setting:
    """The setting that all trainings of one call of `run_fn` share."""

    model: ModelOptions
    training: TrainingOptions
    data: TrainingData
    checkpoints: str
    strategy: tf.distribute.Strategy

    def start(
        self, name: str, statistics: RatingStatistics, criterion: Criterion[Any]
    ) -> tuple[RankingModel, TrainingLoop]:
        """Returns a model with its initial weights, and a loop that starts or resumes it."""
        options = self.training
        with devices.scope(self.strategy, self.model):
            model = build_model(self.model, statistics, options.seed, options.precision)
        folder = os.path.join(self.checkpoints, name)
        return model, TrainingLoop(
            model, options, folder, strategy=self.strategy, criterion=criterion
        )

    def on_one_device(self, model: RankingModel, statistics: RatingStatistics) -> RankingModel:
        """Returns a copy of the model that needs no device of other processes."""
        copy = build_model(self.model, statistics, self.training.seed)
        devices.copy_weights(model.trainable_variables, copy.trainable_variables)
        return copy


def run_fn(arguments: TrainerArguments) -> None:
    """Trains the configured model and exports it.

    The export has signatures and warm-up requests. The history and the model's predictions for
    pairs of the holdout are written to `model_run_dir`.

    `custom_config` has these keys:

    - `model`, `training`, `export`: the options of that name as JSON. Values from the Tuner
      replace some of the first two.
    - `checkpoints`: the folder of the state of interrupted trainings.
    - `code_fingerprint`: a digest of the training's code. A training resumes only from state of
      the same code.
    - `comparison_group`, optional: text that the export keeps.

    With several workers in TF_CONFIG, each of them calls this with the same arguments and with
    folders that all of them share. The chief writes; the others return when it has.

    Args:
        arguments: TFX's FnArgs.

    Raises:
        ValueError: A split is empty.
        ClusterError: TF_CONFIG is wrong, or another worker was lost; start all of them again.
        TrainingDivergedError: The loss, or a number in a table of the export, was not finite.
        TrainingStoppedError: The process received SIGTERM; run again to resume.
    """
    model_options, options = _chosen_options(arguments)
    task = devices.current_task()
    if devices.serves_others(options, task):
        devices.serve_others()
    # Before TensorFlow runs anything else: the workers connect here.
    strategy = devices.choose_strategy(options, task)
    storage = ColumnStorage(options.memory_budget_bytes)
    data = read_training_data(arguments, storage)
    setting = _Setting(
        model=model_options,
        training=options,
        data=data,
        checkpoints=_checkpoint_folder(arguments.custom_config, model_options, options, data),
        strategy=strategy,
    )
    trained = _train(setting, storage)
    processes = devices.Processes(strategy)
    if processes.is_chief:
        _write_history(arguments.model_run_dir, trained, data.train)
        _write_reference_predictions(arguments, trained.model, data.catalogue, storage)
        _export(_recommender(arguments, model_options, data, trained), arguments, data.catalogue)
        if tf.io.gfile.exists(setting.checkpoints):
            tf.io.gfile.rmtree(setting.checkpoints)
    with processes.explain_losses():
        processes.wait_for_all()


def _checkpoint_folder(
    custom_config: dict[str, Any],
    model: ModelOptions,
    training: TrainingOptions,
    data: TrainingData,
) -> str:
    """Returns a folder that only trainings of equal options, code and ratings share."""
    settings = {
        "model": model.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "code_fingerprint": custom_config["code_fingerprint"],
    }
    key = training_key(settings, data.train, data.evaluation)
    return os.path.join(custom_config["checkpoints"], key)


def _export(recommender: Recommender, arguments: TrainerArguments, catalogue: Catalogue) -> None:
    """Writes the SavedModel with its warm-up requests and its comparison group."""
    folder = arguments.serving_model_dir
    saved_model.save(recommender, folder)
    warm_up.write(folder, recommender.signatures, catalogue)
    if "comparison_group" in arguments.custom_config:
        saved_model.write_comparison_group(folder, arguments.custom_config["comparison_group"])


def _recommender(
    arguments: TrainerArguments, options: ModelOptions, data: TrainingData, trained: _Trained
) -> Recommender:
    export = ExportOptions.model_validate(arguments.custom_config["export"])
    statistics = trained.statistics
    files = [*arguments.train_files, *(arguments.eval_files if trained.refit else ())]
    return Recommender(
        model=trained.model,
        options=options,
        rating_range=(statistics.rating_min, statistics.rating_max),
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
    """Writes predictions for pairs of the holdout, whose ids alone are read, after training."""
    files = reference_predictions.holdout_files(arguments.eval_files)
    pairs = reference_predictions.read_pairs(files, storage)
    reference_predictions.write(
        arguments.model_run_dir,
        reference_predictions.reference_predictions(model, pairs, catalogue),
    )


def _chosen_options(arguments: TrainerArguments) -> tuple[ModelOptions, TrainingOptions]:
    """Returns the configured options with the values that the Tuner found best."""
    tuned = arguments.hyperparameters
    return with_values(
        ModelOptions.model_validate(arguments.custom_config["model"]),
        TrainingOptions.model_validate(arguments.custom_config["training"]),
        tuned["values"] if tuned else {},
    )


def _train(setting: _Setting, storage: ColumnStorage) -> _Trained:
    """Finds the best number of epochs on eval and, with `refit`, trains again on both splits."""
    data, statistics = setting.data, setting.data.statistics
    criterion = metrics.criterion_for(setting.model, statistics)
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
    statistics = measure(both, statistics.users, statistics.movies, sides=statistics.sides)
    model, training = setting.start("refit", statistics, criterion)
    training.train_for(both, history.best_epoch(epochs, criterion))
    return replace(
        trained,
        model=setting.on_one_device(model, statistics),
        refit=True,
        statistics=statistics,
    )


def _eval_figures(
    options: ModelOptions, model: RankingModel, ratings: Columns, known: Columns
) -> _EvalFigures:
    """Returns the figures of a model on one device.

    Args:
        options: Options of the model.
        model: Model that was not trained on the ratings.
        ratings: Ratings of the eval split.
        known: Those of them whose user and movie are known.
    """
    return _EvalFigures(
        rmse=metrics.rmse(model, ratings) if predicts_ratings(model) else None,
        top_k_accuracy=metrics.top_k_accuracy(
            model, metrics.liked_pairs(known, options.liked_rating)
        )
        if options.retrieves
        else {},
    )


def _write_history(folder: str, trained: _Trained, train_ratings: Columns) -> None:
    """Writes the history as `history.json` and as scalars for TensorBoard."""
    tf.io.gfile.makedirs(folder)
    criterion = trained.criterion
    history.write(
        folder,
        history.TrainingHistory(
            criterion=criterion.key,
            epochs=[asdict(epoch) for epoch in trained.epochs],
            best_epoch=history.best_epoch(trained.epochs, criterion),
            eval_figure=history.best_eval_figure(trained.epochs, criterion),
            eval_rmse=trained.eval_figures.rmse,
            train_rmse=metrics.rmse(trained.model, train_ratings)
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
            if epoch.learning_rate is not None:
                tf.summary.scalar("learning_rate", epoch.learning_rate, step=epoch.epoch)
    writer.close()
