"""The Tuner step: KerasTuner over ranges of options, each trial trained by the same loop."""

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
from models.options import ModelOptions, TrainingOptions, TuningOptions, with_values
from models.registry import build_model, criterion_for
from models.training import devices, loop
from models.training.checkpoints import training_key
from models.training.loop import TrainingLoop
from models.training.progress import Progress, reporting
from models.training.training_data import StepArguments, TrainingData, read_training_data

# What KerasTuner calls the figure of a trial.
_FIGURE = "eval_figure"


@dataclass(frozen=True)
class TunerResult:
    """What TFX's Tuner expects of a `tuner_fn`: the tuner, and what `search` is called with."""

    tuner: base_tuner.BaseTuner
    fit_kwargs: dict[str, Any]


def tuner_fn(arguments: StepArguments) -> TunerResult:
    """A tuner whose trials train the configured model on train and are compared on eval.

    `custom_config` is as for `models.training.trainer.run_fn`, and holds `tuning`, a
    `TuningOptions` as JSON. Stopped, a tuning of the same arguments goes on after the last trial
    that ended.

    Raises:
        ValueError: there is no rating to train on.
    """
    custom_config = arguments.custom_config
    training = TrainingOptions.model_validate(custom_config["training"])
    data = read_training_data(arguments, ColumnStorage(training.memory_budget_bytes))
    settings = {
        name: custom_config[name] for name in ("model", "training", "tuning", "code_fingerprint")
    }
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
    """Trains with one set of values after another, and keeps which was best on the eval split."""

    def __init__(
        self,
        model: ModelOptions,
        training: TrainingOptions,
        tuning: TuningOptions,
        data: TrainingData,
        folder: str,
    ) -> None:
        """Prepares the search, or takes up an earlier one.

        Args:
            model: what the values of a trial replace some of.
            training: likewise.
            tuning: the ranges, and how many trials.
            data: what each trial trains on and is measured by.
            folder: for the state of the search; removed when it has ended.
        """
        self._model = model
        self._training = training
        self._tuning = tuning
        self._data = data
        self._strategy = devices.choose_strategy(training, devices.current_task())
        self._criterion = criterion_for(model, data.statistics)
        super().__init__(
            oracle=_Oracle(
                objective=keras_tuner.Objective(
                    _FIGURE, "max" if self._criterion.higher_is_better else "min"
                ),
                max_trials=tuning.trials,
                # Never: `on_search_end` says it in one line.
                max_consecutive_failed_trials=tuning.trials + 1,
                hyperparameters=_space(model, training, tuning),
                seed=training.seed,
            ),
            directory=os.path.dirname(folder),
            project_name=os.path.basename(folder),
        )

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Trains with the values of a trial.

        Raises:
            FailedTrialError: the loss was not finite; the search goes on.
            TuningStoppedError: the process was told to terminate.
        """
        model_options, training = with_values(
            self._model, self._training, trial.hyperparameters.values
        )
        with self._strategy.scope():
            model = build_model(
                model_options, self._data.statistics, training.seed, training.precision
            )
        place = f"trial {int(trial.trial_id) + 1}/{self._tuning.trials} "
        try:
            with reporting(None) as report:

                def report_trial(progress: Progress) -> None:
                    report(replace(progress, label=place))

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
                f"told to terminate in {place.strip()}; the trials before it are kept"
            ) from error
        return {_FIGURE: loop.best_eval_figure(history, self._criterion)}

    def on_trial_end(self, trial: Trial) -> None:
        """Keeps the state of the search.

        Raises:
            RuntimeError: the trial ended by an error of which no other values would be free.
        """
        if trial.status == TrialStatus.INVALID:
            raise RuntimeError(trial.message)
        super().on_trial_end(trial)

    def on_search_end(self) -> None:
        """Removes the state of the search.

        Raises:
            TrainingDivergedError: no trial came to an end.
        """
        trials = list(self.oracle.trials.values())
        if all(one.status != TrialStatus.COMPLETED for one in trials):
            last = str(trials[-1].message).strip().splitlines()[-1]
            raise TrainingDivergedError(
                f"none of {len(trials)} trials came to an end ({last}): set other tuning.ranges"
            )
        tf.io.gfile.rmtree(self.project_dir)


class TuningStoppedError(TrainingStoppedError, errors.FatalError):
    """The process was told to terminate; KerasTuner lets it through."""


class _Oracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Tries the configured values first, so that a search is never worse than none.

    It tries no values twice: of a range of few whole numbers the search would propose the same ones
    again and again. Once it has tried all there are, it ends, before its number of trials.
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
    """The ranges as KerasTuner has them, with the configured values as defaults."""
    space = keras_tuner.HyperParameters()
    configured = {"model": model, "training": training}
    for key, (lowest, highest) in tuning.ranges_around(model, training).items():
        section, _, name = key.partition(".")
        default = getattr(configured[section], name)
        add = space.Int if isinstance(default, int) else space.Float
        add(
            key,
            lowest,
            highest,
            # What spans several times its lowest value is a matter of proportion.
            sampling="log" if min(lowest, default) > 0 else "linear",
            default=default,
        )
    return space
