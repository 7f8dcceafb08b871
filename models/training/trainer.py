"""The Trainer step: `run_fn` reads the data, trains and exports."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, Protocol

import tensorflow as tf

from models.catalogue import Catalogue
from models.columns import RATED_COLUMNS, Columns, ColumnStorage, stream_columns
from models.contracts import RankingModel, predicts_ratings
from models.export import reference_predictions, saved_model, warm_up
from models.export.ranking_offsets import ranking_offsets
from models.export.signatures import Recommender
from models.options import ExportOptions, ModelOptions, TrainingOptions, with_values
from models.seen_movies import newest
from models.training import convergence, devices, history, metrics, warm_start
from models.training.checkpoints import training_key
from models.training.passes import Passes, Trained
from models.training.training_data import StepArguments, TrainingData, known, read_training_data
from models.training.warm_start import EarlierWeights, WarmStart


class TrainerArguments(StepArguments, Protocol):
    """The fields of TFX's FnArgs that `run_fn` needs.

    Attributes:
        hyperparameters: KerasTuner's best values from the Tuner step; None without one.
        base_model: Folder of the export to start from, which may be missing; None without one.
    """

    serving_model_dir: str
    model_run_dir: str
    hyperparameters: dict[str, Any] | None
    base_model: str | None


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
    earlier, why_cold = _earlier_weights(arguments, model_options, options)
    start = None if earlier is None else WarmStart.of(earlier, data.catalogue)
    passes = Passes(
        model=model_options,
        training=options,
        data=data,
        storage=storage,
        checkpoints=_checkpoint_folder(
            arguments.custom_config, model_options, options, data, earlier
        ),
        strategy=strategy,
        warm_start=start,
    )
    trained = passes.run()
    processes = devices.Processes(strategy)
    if processes.is_chief:
        _write_history(
            arguments.model_run_dir,
            trained,
            data.train,
            model_options.burn_in,
            why_cold if start is None else str(start),
        )
        _write_reference_predictions(arguments, trained.model, data.catalogue, storage)
        _export(_recommender(arguments, model_options, data, trained), arguments, data.catalogue)
        if options.warm_start:
            warm_start.write(
                arguments.serving_model_dir, model_options, data.catalogue, trained.models
            )
        if tf.io.gfile.exists(passes.checkpoints):
            tf.io.gfile.rmtree(passes.checkpoints)
    with processes.explain_losses():
        processes.wait_for_all()


def _earlier_weights(
    arguments: TrainerArguments, model: ModelOptions, training: TrainingOptions
) -> tuple[EarlierWeights | None, str | None]:
    """Returns the weights to start from, if any, and for a warm start that is none, the reason."""
    if not training.warm_start:
        return None, None
    earlier = None if arguments.base_model is None else warm_start.read(arguments.base_model)
    if earlier is None:
        return None, "cold, no earlier model of other ratings keeps its weights"
    if earlier.options != model:
        return None, "cold, the options of the last model differ"
    return earlier, None


def _checkpoint_folder(
    custom_config: dict[str, Any],
    model: ModelOptions,
    training: TrainingOptions,
    data: TrainingData,
    earlier: EarlierWeights | None,
) -> str:
    """Returns a folder that only trainings of equal options, code, data and start share."""
    settings = {
        "model": model.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "code_fingerprint": custom_config["code_fingerprint"],
        "warm_start": earlier and earlier.digest,
        "side_features": data.statistics.sides.digests(),
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
    arguments: TrainerArguments, options: ModelOptions, data: TrainingData, trained: Trained
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
        offsets=ranking_offsets(trained.model, options, export, statistics),
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


def _write_history(
    folder: str, trained: Trained, train_ratings: Columns, burn_in: int, begun: str | None
) -> None:
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
            warm_start=begun,
            convergence=convergence.measure([one.scalars for one in trained.epochs], burn_in),
        ),
    )
    writer = tf.summary.create_file_writer(folder)
    with writer.as_default():
        for epoch in trained.epochs:
            tf.summary.scalar("loss", epoch.loss, step=epoch.epoch)
            tf.summary.scalar(f"eval_{criterion.key}", epoch.eval_figure, step=epoch.epoch)
            if epoch.learning_rate is not None:
                tf.summary.scalar("learning_rate", epoch.learning_rate, step=epoch.epoch)
            for name, scalar in epoch.scalars.items():
                tf.summary.scalar(name.replace(" ", "_"), scalar, step=epoch.epoch)
    writer.close()
