"""The two passes of a training: the best number of epochs on eval, then train and eval together."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import tensorflow as tf

from models.columns import Columns, ColumnStorage, in_parts
from models.contracts import RankingModel, predicts_ratings
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions
from models.rating_statistics import RatingStatistics, measure
from models.training import devices, history, metrics
from models.training.history import EpochResult
from models.training.loop import TrainingLoop
from models.training.metrics import Criterion
from models.training.progress import Report
from models.training.training_data import TrainingData, known
from models.training.warm_start import Pass, WarmStart


@dataclass(frozen=True)
class EvalFigures:
    """Figures of the best weights on the eval split, before they are trained on it.

    Attributes:
        rmse: RMSE in stars; None for a model that predicts no ratings.
        top_k_accuracy: Share of the liked movies among the first k, by k.
    """

    rmse: float | None
    top_k_accuracy: dict[str, float]


@dataclass(frozen=True)
class Trained:
    """A trained model on the device of this process, and its history.

    Attributes:
        models: Models after each pass that ran, the one to export last.
        criterion: Criterion of early stopping.
        epochs: Results of the epochs before the refit.
        eval_figures: Figures on the eval split before the refit.
        statistics: Statistics of the ratings that the model to export was trained on.
    """

    models: dict[Pass, RankingModel]
    criterion: Criterion[Any]
    epochs: list[EpochResult]
    eval_figures: EvalFigures
    statistics: RatingStatistics

    @property
    def model(self) -> RankingModel:
        """The model to export."""
        return list(self.models.values())[-1]

    @property
    def refit(self) -> bool:
        """Whether it was trained on the eval split too."""
        return "refit" in self.models


@dataclass(frozen=True)
class Passes:
    """A training in one pass or, with `training.refit`, two.

    Attributes:
        model: Options of the model.
        training: Options of the training.
        data: Ratings to train on and to evaluate on.
        storage: Storage of further columns.
        checkpoints: Folder of the state of interrupted trainings; None saves nothing.
        strategy: Strategy of the training.
        warm_start: Earlier training to start from; None for initial weights.
        report: Function that receives the progress; None for a bar or lines.
    """

    model: ModelOptions
    training: TrainingOptions
    data: TrainingData
    storage: ColumnStorage
    checkpoints: str | None
    strategy: tf.distribute.Strategy
    warm_start: WarmStart | None = None
    report: Report | None = None

    def run(self) -> Trained:
        """Finds the best number of epochs on eval and, with `refit`, trains again on both splits.

        Raises:
            ValueError: A split is empty.
            TrainingDivergedError: The loss or a weight was not finite.
            TrainingStoppedError: The process received SIGTERM.
        """
        data, statistics = self.data, self.data.statistics
        criterion = metrics.criterion_for(self.model, self.training, statistics)
        model, training = self._start("train", statistics, criterion)
        epochs = training.train(data.train, data.evaluation)
        known_eval = self.storage.collect(known(in_parts(data.evaluation), data.catalogue))
        model = self._on_one_device(model, statistics)
        trained = Trained(
            models={"train": model},
            criterion=criterion,
            epochs=epochs,
            eval_figures=self._eval_figures(model, known_eval),
            statistics=statistics,
        )
        if not self.training.refit:
            return trained
        both = self.storage.canonical_order(
            self.storage.collect(chain(in_parts(data.train), [known_eval]))
        )
        statistics = measure(both, statistics.users, statistics.movies, sides=statistics.sides)
        model, training = self._start("refit", statistics, criterion)
        training.train_for(both, history.best_epoch(epochs, criterion))
        return replace(
            trained,
            models={**trained.models, "refit": self._on_one_device(model, statistics)},
            statistics=statistics,
        )

    def _start(
        self, which: Pass, statistics: RatingStatistics, criterion: Criterion[Any]
    ) -> tuple[RankingModel, TrainingLoop]:
        """Returns a model with its first weights, and a loop that starts or resumes it."""
        options = self.training
        with devices.scope(self.strategy, self.model):
            model = build_model(self.model, statistics, options.seed, options.precision)
        if self.warm_start is not None:
            self.warm_start.apply(model, which, options.warm_share)
            options = options.of_warm_start
        folder = None if self.checkpoints is None else os.path.join(self.checkpoints, which)
        return model, TrainingLoop(
            model, options, folder, self.report, strategy=self.strategy, criterion=criterion
        )

    def _on_one_device(self, model: RankingModel, statistics: RatingStatistics) -> RankingModel:
        """Returns a copy of the model that needs no device of other processes."""
        copy = build_model(self.model, statistics, self.training.seed)
        # What is computed anew, such as features, may come out otherwise.
        devices.copy_weights(model.variables, copy.variables)
        return copy

    def _eval_figures(self, model: RankingModel, known: Columns) -> EvalFigures:
        """Returns the figures on the eval split.

        Args:
            model: Model on one device that was not trained on the split.
            known: Ratings of the split whose user and movie are known.
        """
        rmse = metrics.rmse(model, self.data.evaluation) if predicts_ratings(model) else None
        if not self.model.retrieves:
            return EvalFigures(rmse, {})
        liked = metrics.liked_pairs(known, self.model.liked_rating)
        ranked = metrics.of_even_users(liked, self.training.ranked_users)
        return EvalFigures(rmse, metrics.top_k_accuracy(model, ranked))
