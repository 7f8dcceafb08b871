"""Backtests of ratings that come week by week."""

import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest

from components.errors import DataError
from movierec.cli import exit_codes
from pipeline.backtest import simulation
from pipeline.backtest.policies import Policy
from pipeline.backtest.report import BacktestReport
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config
from tests.movierec.cli.command import COMMAND, assert_refused, movierec

DAY = 86_400
WEEKS = 5
SMALL = (
    "model.dimension=4",
    "training.epochs=4",
    "training.refit=false",
    "training.warm_start=true",
    "gate.max_rmse=9",
    "gate.min_gain_over_biases=-9",
    "gate.max_regression=9",
    "gate.max_drift_from_best=9",
    "gate.max_baseline_shift=9",
)


@pytest.fixture
def ratings(tmp_path: Path, rng: np.random.Generator) -> Path:
    """120 ratings a week of 20 users, whose taste is one number; in the last, all are new."""
    taste, appeal = rng.normal(size=20), rng.normal(size=30)
    lines = ["user,movie,rating,timestamp"]
    pairs = rng.permutation([(u, m) for u in range(20) for m in range(30)])
    for at, (user, movie) in enumerate(pairs):
        stars = np.clip(round(3 + 1.5 * taste[user] * appeal[movie]), 1, 5)
        week = at * WEEKS // len(pairs)
        name = f"new{user}" if week == WEEKS - 1 else f"u{user}"
        lines.append(f"{name},m{movie},{stars},{10**9 + at * WEEKS * 7 * DAY // len(pairs)}")
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def backtest(
    path: Path, policies: str, first: int, *settings: str, days: int = 7
) -> BacktestReport:
    config = load_config(None, [f"data.path={path}", *SMALL, *settings])
    return simulation.run([config], [Policy.parse(one) for one in policies.split()], days, first)


def test_policies_are_compared_on_the_same_weeks(ratings: Path) -> None:
    fresh, warm = (report := backtest(ratings, "fresh warm/2", 2)).policies
    assert (fresh.policy, warm.policy) == ("fresh", "warm/2")
    for policy in (fresh, warm):
        # Each of the new users has an order of their own, though the model knows none of them.
        assert all(0 <= week.ndcg <= 1 for week in policy.weeks if week.ndcg is not None)
        # The first week begins with the first rating, on 2001-09-09.
        assert [week.week for week in policy.weeks] == ["2001-09-23", "2001-09-30", "2001-10-07"]
        assert [week.ratings for week in policy.weeks] == [120] * 3
        squares = [week.rmse**2 for week in policy.weeks if week.rmse is not None]
        assert policy.rmse == pytest.approx(np.mean(squares) ** 0.5)
        assert policy.ndcg == pytest.approx(np.mean([week.ndcg for week in policy.weeks]))
    assert [week.trained for week in fresh.weeks] == [True] * 3
    assert [week.trained for week in warm.weeks] == [True, False, True]
    # Both begin alike, since there is no earlier model; the third week has one.
    assert fresh.weeks[0].rmse == warm.weeks[0].rmse
    assert fresh.weeks[2].rmse != warm.weeks[2].rmse
    assert (fresh.weeks[2].epochs, warm.weeks[2].epochs) == (4, 2)
    (line,) = report.advice
    assert line.startswith("biased_mf: warm/2 instead of fresh takes ")
    assert "50% of the epochs" in line


def test_a_week_without_ratings_puts_no_training_off_to_the_next_turn(ratings: Path) -> None:
    header, *lines = ratings.read_text().splitlines()
    empty = [str(10**9 + second) for second in (3 * 7 * DAY, 4 * 7 * DAY)]
    kept = [line for line in lines if not empty[0] <= line.rpartition(",")[2] < empty[1]]
    ratings.write_text("\n".join([header, *kept]) + "\n")
    (policy,) = backtest(ratings, "fresh/2", 1).policies
    # The fourth week, whose turn it is, has no ratings.
    assert [(week.week, week.trained) for week in policy.weeks] == [
        ("2001-09-16", True), ("2001-09-23", False), ("2001-10-07", True),
    ]  # fmt: skip


def test_a_refused_model_does_not_serve(ratings: Path) -> None:
    (policy,) = backtest(ratings, "fresh", 4, "gate.min_gain_over_biases=9").policies
    assert policy.refused == policy.trainings == 1
    assert policy.rmse is None
    assert "gate.min_gain_over_biases" in policy.weeks[0].reasons[0]


def test_a_retrieval_model_is_judged_by_its_ranking(ratings: Path) -> None:
    settings = ("model.name=two_tower", "gate.min_gain_over_popularity=9")
    (policy,) = backtest(ratings, "warm", 4, *settings).policies
    assert policy.rmse is None
    assert "against popularity's" in policy.weeks[0].reasons[0]


@pytest.mark.parametrize(
    ("settings", "first", "problem"),
    [
        ((), 5, "are of 5 weeks of 7 days: expected more than --first 5"),
        (("split.method=fold:1",), 2, "a fold has no weeks"),
    ],
)
def test_what_has_no_weeks_is_refused(
    ratings: Path, settings: tuple[str, ...], first: int, problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        backtest(ratings, "fresh", first, *settings)


def test_ratings_without_times_have_no_weeks(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,movie,rating\n" + "".join(f"{user},1,4\n" for user in range(9)))
    with pytest.raises((UserError, DataError), match="have no times"):
        backtest(path, "fresh", 2)


def test_a_week_with_too_few_ratings_before_it_is_named(ratings: Path) -> None:
    """A clock that is wrong by years makes a first week of one rating."""
    with ratings.open("a") as file:
        file.write("u1,m99,3,700000000\n")
    with pytest.raises(DataError, match=r"^2001-09-.*too few.*; start later by a higher --first"):
        backtest(ratings, "fresh", 2)


def test_a_model_with_updates_of_its_own_has_no_warm_start() -> None:
    with pytest.raises(UserError, match=r"^training\.warm_start: ease computes its weights anew"):
        load_config(None, ["model.name=ease", "training.warm_start=true"])


def test_an_unknown_policy_is_refused_in_one_line() -> None:
    assert_refused(movierec("backtest", "--policy", "daily"), "--policy daily", "fresh or warm")


@pytest.mark.slow
def test_a_backtest_that_is_told_to_stop_ends_as_interrupted(ratings: Path) -> None:
    endless = ("training.epochs=100000", "training.patience=100000")
    sets = [part for one in (f"data.path={ratings}", *SMALL, *endless) for part in ("--set", one)]
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "backtest", *sets, "--first", "4", "--policy", "fresh"], stderr=terminal
    ) as process:
        os.close(terminal)
        shown = b""
        while b"biased_mf fresh" not in shown:
            shown += os.read(ours, 1024)
        process.terminate()
        assert process.wait() == exit_codes.INTERRUPTED
    os.close(ours)


@pytest.mark.slow
def test_the_table_has_a_row_for_each_week(ratings: Path) -> None:
    sets = [part for one in (f"data.path={ratings}", *SMALL) for part in ("--set", one)]
    done = movierec("backtest", *sets, "--first", "4", "--policy", "fresh")
    assert done.returncode == 0, done.stderr
    assert "2001-10-07" in done.stdout
    assert "all blessed" in done.stdout
