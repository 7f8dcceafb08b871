"""The Tuner step: KerasTuner searches ranges of options, and the same loop trains each trial."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import keras_tuner
import tensorflow as tf
from keras_tuner import errors
from keras_tuner.engine import base_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from models.columns import ColumnStorage
from models.errors import TrainingDivergedError, TrainingStoppedError
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions, TuningOptions, with_values
from models.training import devices
from models.training.checkpoints import training_key
from models.training.history import best_eval_figure
from models.training.loop import TrainingLoop
from models.training.metrics import criterion_for
from models.training.progress import Progress, reporting
from models.training.training_data import StepArguments, TrainingData, read_training_data

# KerasTuner's name of the figure of a trial.
_FIGURE = "eval_figure"


@dataclass(frozen=True)
class TunerResult:
    """The result that TFX expects of a `tuner_fn`: a tuner, and arguments of its `search`."""

    tuner: base_tuner.BaseTuner
    fit_kwargs: dict[str, Any]


def tuner_fn(arguments: StepArguments) -> TunerResult:
    """Returns a tuner whose trials train on train and are compared on eval.

    A search that was stopped resumes after its last whole trial when it is called with the same
    arguments.

    Args:
        arguments: TFX's FnArgs. `custom_config` has the keys of `models.training.trainer.run_fn`,
            and `tuning`: `TuningOptions` as JSON.

    Raises:
        ValueError: There is no rating to train on, or no option to search.
    """
    custom_config = arguments.custom_config
    training = TrainingOptions.model_validate(custom_config["training"])
    data = read_training_data(arguments, ColumnStorage(training.memory_budget_bytes))
    settings = {
        name: custom_config[name] for name in ("model", "training", "tuning", "code_fingerprint")
    } | {"side_features": data.statistics.sides.digests()}
    key = training_key(settings, data.train, data.evaluation)
    trials = Trials(
        model=ModelOptions.model_validate(custom_config["model"]),
        training=training,
        tuning=TuningOptions.model_validate(custom_config["tuning"]),
        data=data,
        folder=os.path.join(custom_config["checkpoints"], f"tuning-{key}"),
    )
    return TunerResult(trials, {})


class Trials(base_tuner.BaseTuner):
    """Trains with one set of values after another and finds the best on the eval split."""

    def __init__(
        self,
        model: ModelOptions,
        training: TrainingOptions,
        tuning: TuningOptions,
        data: TrainingData,
        folder: str,
    ) -> None:
        """Prepares the search or resumes an earlier one.

        Args:
            model: Options of the model; each trial replaces some of them.
            training: Options of the training; each trial replaces some of them.
            tuning: Ranges and number of trials.
            data: Data to train on and to compare by.
            folder: Folder of the state of the search, which removes it when it ends.
        """
        self._model = model
        self._training = training
        self._tuning = tuning
        self._data = data
        self._strategy = devices.choose_strategy(training, devices.current_task())
        self._criterion = criterion_for(model, training, data.statistics)
        super().__init__(
            oracle=_Oracle(
                objective=keras_tuner.Objective(
                    _FIGURE, "max" if self._criterion.higher_is_better else "min"
                ),
                max_trials=tuning.trials,
                # Never reached: `on_search_end` reports failed trials in one line.
                max_consecutive_failed_trials=tuning.trials + 1,
                hyperparameters=_space(model, training, tuning),
                seed=training.seed,
            ),
            directory=os.path.dirname(folder),
            project_name=os.path.basename(folder),
        )

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains with the values of a trial.

        Args:
            trial: Trial to run.

        Raises:
            FailedTrialError: The loss was not finite; the search continues.
            TuningStoppedError: The process received SIGTERM.
        """
        model_options, training = with_values(
            self._model, self._training, trial.hyperparameters.values
        )
        with devices.scope(self._strategy, model_options):
            model = build_model(
                model_options, self._data.statistics, training.seed, training.precision
            )
        label = f"trial {int(trial.trial_id) + 1}/{self._tuning.trials} "
        try:
            with reporting(None) as report:

                def report_trial(progress: Progress) -> None:
                    report(replace(progress, label=label))

                history = TrainingLoop(
                    model,
                    training,
                    report=report_trial,
                    strategy=self._strategy,
                    criterion=self._criterion,
                ).train(self._data.train, self._data.evaluation)
        except TrainingDivergedError as error:
            raise errors.FailedTrialError(str(error)) from error
        except TrainingStoppedError as error:
            raise TuningStoppedError(
                f"SIGTERM stopped the search in {label.strip()}; the trials before it are kept"
            ) from error
        return {_FIGURE: best_eval_figure(history, self._criterion)}

    def on_trial_end(self, trial: Trial) -> None:
        """Saves the state of the search.

        Args:
            trial: Trial that ended.

        Raises:
            RuntimeError: The trial ended with an error that other values would not avoid.
        """
        if trial.status == TrialStatus.INVALID:
            raise RuntimeError(trial.message)
        super().on_trial_end(trial)

    def on_search_end(self) -> None:
        """Removes the state of the search.

        Raises:
            TrainingDivergedError: Every trial failed.
        """
        trials = list(self.oracle.trials.values())
        if all(one.status != TrialStatus.COMPLETED for one in trials):
            last = str(trials[-1].message).strip().splitlines()[-1]
            raise TrainingDivergedError(
                f"all of {len(trials)} trials failed ({last}): set other tuning.ranges"
            )
        tf.io.gfile.rmtree(self.project_dir)


class TuningStoppedError(TrainingStoppedError, errors.FatalError):
    """The process received SIGTERM; KerasTuner does not catch this error."""


class _Oracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """A Bayesian search that tries the configured values first and no values twice.

    A search is therefore never worse than none. In a small range of integers KerasTuner proposes
    the same values again and again; this search ends early once it has tried all of them.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if int(trial_id) == 0:
            configured = {one.name: one.default for one in self.hyperparameters.space}
            return {"status": TrialStatus.RUNNING, "values": configured}
        proposed = super().populate_space(trial_id)
        if proposed["values"] and self._duplicate(proposed["values"]):
            return self._random_populate_space()
        return proposed


def _space(
    model: ModelOptions, training: TrainingOptions, tuning: TuningOptions
) -> keras_tuner.HyperParameters:
    """Returns the ranges as KerasTuner's, with the configured values as defaults."""
    space = keras_tuner.HyperParameters()
    configured = {"model": model, "training": training}
    ranges = tuning.ranges_around(model, training)
    if not ranges:
        raise ValueError(
            f"tuning.ranges is empty, and {model.name} has no learning rate and no L2 weight to "
            "search: set tuning.ranges"
        )
    for key, (lowest, highest) in ranges.items():
        section, _, name = key.partition(".")
        default = getattr(configured[section], name)
        add = space.Int if isinstance(default, int) else space.Float
        add(
            key,
            lowest,
            highest,
            # Positive options are scales: ratios matter, not differences.
            sampling="log" if min(lowest, default) > 0 else "linear",
            default=default,
        )
    return space
