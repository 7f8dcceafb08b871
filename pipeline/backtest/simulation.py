"""Trains, judges and serves as past weeks would have, with the code of the steps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import tensorflow as tf

from components import rating_baselines
from components.errors import DataError
from components.gate.interval import Vector, rmse_difference
from components.gate.judgement import Baseline, Figures, judge
from components.gate.limits import BASELINE_MOVE
from components.gate.record import GateRecord
from components.gate.shift import rmse_shift
from models import features
from models.columns import Columns, ColumnStorage, in_parts
from models.contracts import RankingModel, predicts_ratings
from models.ranking import ranking_figures
from models.seen_movies import SeenMovies
from models.training import metrics, warm_start
from models.training.passes import Passes, Trained
from models.training.warm_start import EarlierWeights, WarmStart
from pipeline.backtest import past
from pipeline.backtest.past import Array, Past, Snapshot, Vocabulary
from pipeline.backtest.policies import Policy
from pipeline.backtest.report import BacktestReport, PolicyReport, Week, advice, summed
from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig
from pipeline.datasets import recognised
from pipeline.gate import failures

Note = Callable[[str], None]
"""Function that receives what is done now."""


@dataclass(frozen=True)
class _Served:
    """A blessed model, and what the next training and the next gate need of it."""

    model: RankingModel
    seen: SeenMovies
    users: Vocabulary
    movies: Vocabulary
    weights: EarlierWeights | None
    record: GateRecord


def run(
    configs: Sequence[PipelineConfig],
    policies: Sequence[Policy],
    days: int,
    first: int,
    note: Note = lambda _: None,
) -> BacktestReport:
    """Compares policies on the weeks of the past.

    Args:
        configs: Configuration of each model, all of the same ratings.
        policies: Policies to compare.
        days: Days of a week.
        first: Number of weeks whose ratings the first training has.
        note: Function that is told of each training.

    Raises:
        UserError: The ratings are of too few weeks or have no times.
        DataError: They cannot be read, or are too few to split.
    """
    ratings = past.read(configs[0], days)
    if ratings.count <= first:
        raise UserError(
            f"the ratings are of {ratings.count} weeks of {days} days: expected more than "
            f"--first {first}"
        )
    reports: list[PolicyReport] = []
    for config in configs:
        for policy in policies:
            name = config.model.name
            weeks = list(_Simulation(config, policy, ratings, first, note).weeks())
            reports.append(summed(name, str(policy), weeks))
    return BacktestReport(
        dataset=recognised(configs[0]).data.dataset,
        policies=tuple(reports),
        advice=tuple(advice(reports)),
    )


@dataclass(frozen=True)
class _Simulation:
    """One policy over all weeks."""

    config: PipelineConfig
    policy: Policy
    ratings: Past
    first: int
    note: Note

    def weeks(self) -> Iterator[Week]:
        served: _Served | None = None
        latest = -1
        for week in range(self.first, self.ratings.count):
            at = self.ratings.of_week(week)
            if not len(at):
                continue
            # A week without ratings delays a training, which then has the same ratings.
            turn = (week - self.first) // self.policy.every
            due, latest = turn > latest, turn
            date = self.ratings.date(week)
            done = Week(week=date, ratings=len(at), trained=False, rmse=None, ndcg=None)
            if due or served is None:
                self.note(f"{self.config.model.name} {self.policy} {date}")
                done, served = self._retrained(done, week, served)
            if served is not None:
                done = done.model_copy(
                    update={"rmse": self._rmse(served, at), "ndcg": self._ndcg(served, at)}
                )
            yield done

    def _retrained(
        self, done: Week, week: int, served: _Served | None
    ) -> tuple[Week, _Served | None]:
        """Trains on the weeks before, and serves the model if the gate blesses it."""
        try:
            snapshot = self.ratings.before(week, self.config)
        except DataError as error:
            raise DataError(f"{done.week}: {error}; start later by a higher --first") from error
        started = time.perf_counter()
        trained = self._train(snapshot, served)
        done = done.model_copy(
            update={
                "trained": True,
                "epochs": len(trained.epochs),
                "seconds": time.perf_counter() - started,
            }
        )
        candidate = _Served(
            model=trained.model,
            seen=trained.statistics.seen,
            users=snapshot.users,
            movies=snapshot.movies,
            weights=self._weights(snapshot, trained),
            record=GateRecord(rmse=None, ndcg=None),
        )
        reasons, notes, record = self._judge(snapshot, candidate, served)
        done = done.model_copy(update={"blessed": not reasons, "reasons": reasons, "notes": notes})
        return done, served if reasons else replace(candidate, record=record)

    def _train(self, snapshot: Snapshot, served: _Served | None) -> Trained:
        weights = None if served is None else served.weights
        start = None if weights is None else WarmStart.of(weights, snapshot.data.catalogue)
        options = self.config.training.options
        return Passes(
            model=self.config.model,
            training=options,
            data=snapshot.data,
            storage=ColumnStorage(options.memory_budget_bytes),
            checkpoints=None,
            strategy=tf.distribute.get_strategy(),
            warm_start=start,
            report=lambda _: None,
        ).run()

    def _weights(self, snapshot: Snapshot, trained: Trained) -> EarlierWeights | None:
        """Returns what the export would keep for the next training."""
        if not self.policy.warm:
            return None
        with tempfile.TemporaryDirectory() as folder:
            warm_start.write(folder, self.config.model, snapshot.data.catalogue, trained.models)
            return warm_start.read(folder)

    def _judge(
        self, snapshot: Snapshot, candidate: _Served, served: _Served | None
    ) -> tuple[tuple[str, ...], tuple[str, ...], GateRecord]:
        """Returns the reasons of the Evaluator and the Gate against a model, notes, its record."""
        gate, at = self.config.gate, snapshot.holdout
        figures = self._judged(candidate, at)
        last = None if served is None else self._judged(served, at)
        interval = None
        if served is not None and figures.rmse is not None and gate.confidence is not None:
            interval = rmse_difference(
                self._errors(candidate, at),
                self._errors(served, at),
                self.ratings.users[at],
                gate.confidence,
            )
        judgement = judge(
            candidate=figures,
            baseline=None if served is None else self._baseline(served, at),
            bias_only=self._bias_only(snapshot),
            limits=gate,
            interval=interval,
            # The alarm asks a person, who would stop accepting what is past.
            accepted=(BASELINE_MOVE,),
            why_no_baseline="no blessed model to compare with",
        )
        popularity = None if figures.ndcg is None else self._ndcg(_popular(candidate), at)
        record = GateRecord(
            rmse=figures.rmse,
            ndcg=figures.ndcg,
            above_best=judgement.above_best,
            below_best=judgement.below_best,
        )
        reasons = (*failures(figures, last, popularity, gate), *judgement.failures)
        return reasons, judgement.notes, record

    def _baseline(self, served: _Served, at: Array) -> Baseline:
        """Returns the last blessed model as the gate sees it."""
        then = served.record.rmse
        shift = (
            None
            if then is None
            else rmse_shift(self._errors(served, at), self.ratings.users[at], then)
        )
        return Baseline(self._judged(served, at), served.record, shift)

    def _judged(self, served: _Served, at: Array) -> Figures:
        """Returns the figures that the gate looks at."""
        ndcg = self._ndcg(served, at) if self.config.model.retrieves else None
        return Figures(self._rmse(served, at), ndcg)

    def _rmse(self, served: _Served, at: Array) -> float | None:
        if not predicts_ratings(served.model):
            return None
        return float(np.sqrt(np.mean(np.square(self._errors(served, at)))))

    def _errors(self, served: _Served, at: Array) -> Vector:
        """Returns prediction less rating in stars, float64 `[n]`."""
        assert predicts_ratings(served.model)
        model = served.model
        return np.concatenate(
            [
                model.predict_rating(part[features.USER_INDEX], part[features.MOVIE_INDEX])
                .numpy()
                .astype(np.float64)
                - part[features.RATING]
                for part in in_parts(self._columns(served, at))
            ]
        )

    def _ndcg(self, served: _Served, at: Array) -> float | None:
        """Returns NDCG@10 of what was liked and not rated before; None if nothing was."""
        liked = at[self.ratings.stars[at] >= self.config.model.liked_rating]
        if not len(liked):
            return None
        ranks = metrics.liked_ranks(served.model, served.seen, self._columns(served, liked))
        # By the users themselves: the model has one row for all whom it does not know.
        return ranking_figures(self.ratings.users[liked], ranks).ndcg

    def _bias_only(self, snapshot: Snapshot) -> float:
        """Returns the holdout RMSE of biases that are fitted to train and eval."""
        users, movies = snapshot.users, snapshot.movies
        fitted, holdout = (
            self.ratings.columns(at, users, movies) for at in (snapshot.fitted, snapshot.holdout)
        )
        biases = rating_baselines.fit_biases(fitted, len(users.ids) + 1, len(movies.ids) + 1)
        stars = fitted[features.RATING]
        predicted = np.clip(biases.predict(holdout), stars.min(), stars.max())
        return rating_baselines.rmse(predicted, holdout)

    def _columns(self, served: _Served, at: Array) -> Columns:
        return self.ratings.columns(at, served.users, served.movies)


class _Popularity:
    """Ranks movies by their number of ratings, for everybody."""

    trainable_variables: Sequence[tf.Variable] = ()

    def __init__(self, counts: Sequence[int], users: int) -> None:
        self._counts = tf.constant([*counts, 0], tf.float32)[:, tf.newaxis]
        self._users = tf.ones([users + 1, 1])

    def user_vectors(self) -> tf.Tensor:
        return self._users

    def movie_vectors(self) -> tf.Tensor:
        return self._counts


def _popular(served: _Served) -> _Served:
    model = _Popularity(served.movies.counts, len(served.users.ids))
    return replace(served, model=cast(RankingModel, model))
