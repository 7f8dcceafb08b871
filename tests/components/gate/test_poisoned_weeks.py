"""Good and poisoned weeks of real ratings, at the defaults of every limit."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from benchmarks.poisonings import POISONINGS, Array, Poisoning
from components.drift.history import history_moves
from components.drift.limits import DriftLimits
from components.drift.moves import moves
from components.gate.interval import rmse
from components.gate.judgement import Baseline, Figures, judge
from components.gate.limits import GateLimits
from components.gate.record import GateRecord
from components.gate.shift import rmse_shift
from components.movielens_example_gen import rating_sample
from components.movielens_example_gen.rating_sample import RatingSample
from components.movielens_example_gen.readers.edition import RawRatings
from pipeline import SCHEMA_FILE
from tests.components import weekly_ratings as weekly
from tests.components.weekly_ratings import Week

SCHEMA = text_format.Parse(SCHEMA_FILE.read_text(), schema_pb2.Schema())


def biases_of(ratings: Week) -> Array:
    """Returns a predictor of stars by user and movie, fitted on what is not held out."""
    train = ~ratings.held_out
    users, movies = ratings.users[train], ratings.movies[train]
    residual = ratings.stars[train] - ratings.stars[train].mean()
    shape = 1 + int(weekly.year()[0].users.max()), 1 + int(weekly.year()[0].movies.max())
    user, movie = np.zeros(shape[0]), np.zeros(shape[1])
    for _ in range(10):
        movie = np.bincount(movies, residual - user[users], shape[1]) / (
            np.bincount(movies, minlength=shape[1]) + 10
        )
        user = np.bincount(users, residual - movie[movies], shape[0]) / (
            np.bincount(users, minlength=shape[0]) + 15
        )
    return np.clip(ratings.stars[train].mean() + user[:, None] + movie, 1, 5)


def sample(ratings: Week, stars: Array) -> RatingSample:
    table = weekly.table(ratings, stars)
    return rating_sample.draw(table, RawRatings(table, weekly.movies()))


def refusals(number: int, poisoning: Poisoning | None) -> list[str]:
    """Returns what the gate has against a week after a good one.

    The model of the good week predicts by biases, and that of the new week is as good on the new
    holdout as can be: an attack that fools every look at the new holdout.
    """
    before, now = weekly.week(number - 1), weekly.week(number)
    rng = np.random.default_rng(number)
    stars = poisoning.change(now.users, now.stars, rng) if poisoning else now.stars
    found = moves(
        weekly.train_statistics(before, before.stars),
        weekly.train_statistics(now, stars),
        SCHEMA,
        DriftLimits(),
    )
    assert len(found) == 7
    found += history_moves(sample(before, before.stars), sample(now, stars), DriftLimits())
    predicted = biases_of(before)

    def errors(ratings: Week, truth: Array) -> Array:
        held_out = ratings.held_out
        return predicted[ratings.users, ratings.movies][held_out] - truth[held_out]

    then = rmse(errors(before, before.stars))
    today = errors(now, stars)
    judgement = judge(
        Figures(rmse=0.5),
        Baseline(
            Figures(rmse=rmse(today)),
            GateRecord(rmse=then, ndcg=None),
            rmse_shift(today, now.users[now.held_out], then),
        ),
        bias_only=1.0,
        limits=GateLimits(max_drift_from_best=9),
    )
    return [move.name for move in found if move.exceeded] + list(judgement.failures)


# One user of week 33 gives hundreds of movies one star.
@pytest.mark.parametrize("number", [6, 13, 27, 33, 40, 52])
def test_a_good_week_is_not_refused(number: int) -> None:
    assert refusals(number, None) == []


@pytest.mark.parametrize("name", POISONINGS)
@pytest.mark.parametrize("number", [27, 52])
def test_a_poisoned_week_is_refused(number: int, name: str) -> None:
    assert refusals(number, POISONINGS[name])


@pytest.mark.parametrize(("number", "name"), [(2, "baseline"), (11, "rating")])
def test_a_good_week_of_young_data_may_have_to_be_accepted(number: int, name: str) -> None:
    """A few thousand ratings move from week to week; what the ratings were stays as it was."""
    (refusal,) = refusals(number, None)
    assert refusal == name or f"--accept-drift {name} accepts it once" in refusal
