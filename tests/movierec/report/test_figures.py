"""Figures of the report beside their definitions."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from components.gate.interval import Interval
from components.gate.record import GoldenComparison, GoldenFigures
from components.gate.shift import Shift
from movierec.cli import tables
from movierec.report import changes
from movierec.report.comparison import Comparison, mean_difference, render
from movierec.report.conditions import conditions
from movierec.report.lists import genre_diversity
from movierec.report.rated_rows import coded
from movierec.report.sections import calibration, slice_charts
from movierec.report.slices import RankingSlice, figures_of, ranking_slices
from pipeline.config.tree import GateConfig, PipelineConfig
from pipeline.summary import Ranking, Rmse, Summary
from tests.pipeline.summaries import summary

RANKING = Ranking(
    liked_rating=4.0,
    ndcg_at_10=0.3,
    recall_at_10=0.2,
    popularity_ndcg_at_10=0.1,
    popularity_recall_at_10=0.05,
    eval_ndcg_at_10=0.3,
    eval_top_k_accuracy={},
)


def test_a_slice_has_the_error_of_its_rows(rng: np.random.Generator) -> None:
    errors, last = rng.normal(0, 1, 300), rng.normal(0, 1.3, 300)
    users = np.repeat(np.arange(60), 5)
    rows = np.flatnonzero(rng.random(300) < 0.5)
    found = figures_of("genre", "Drama", rows, errors, last, users)
    assert found.ratings == len(rows)
    assert found.users == len(set(users[rows]))
    expected = np.sqrt(np.mean(errors[rows] ** 2))
    assert found.rmse == pytest.approx(expected)
    assert found.change is not None
    assert found.change.difference == pytest.approx(expected - np.sqrt(np.mean(last[rows] ** 2)))
    # Against the bootstrap over users.
    of = [rows[users[rows] == user] for user in np.unique(users[rows])]
    sums = np.array([np.sum(errors[own] ** 2) for own in of])
    counts = np.array([len(own) for own in of])
    draws = rng.integers(0, len(of), (4000, len(of)))
    low, high = np.quantile(np.sqrt(sums[draws].sum(1) / counts[draws].sum(1)), [0.025, 0.975])
    assert found.ends == pytest.approx((low, high), abs=0.2 * (high - low))


def test_a_slice_of_one_user_has_no_interval() -> None:
    found = figures_of("genre", "Noir", np.arange(3), np.ones(3), np.zeros(3), np.zeros(3))
    assert found.rmse == 1
    assert found.interval is None
    assert found.change is None
    assert not found.moved


def test_calibration_has_bins_of_equal_size(rng: np.random.Generator) -> None:
    predicted, actual = rng.normal(3, 1, 95), rng.integers(1, 6, 95).astype(float)
    bins = calibration(predicted, actual)
    assert sum(one.ratings for one in bins) == 95
    assert {one.ratings for one in bins} <= {9, 10}
    lowest = np.argsort(predicted)[: bins[0].ratings]
    assert bins[0].predicted == pytest.approx(predicted[lowest].mean())
    assert bins[0].actual == pytest.approx(actual[lowest].mean())
    assert bins[0].low == pytest.approx(np.percentile(actual[lowest], 25))


def test_texts_are_coded_as_numpy_does(rng: np.random.Generator) -> None:
    texts = rng.choice(np.array([b"b", b"", b"a\x00", b"abc", b"a"], object), 50)
    distinct, places = coded(texts)
    expected, code = np.unique(texts, return_inverse=True)
    assert distinct.tolist() == expected.tolist()
    assert places.tolist() == code.tolist()
    assert [len(part) for part in coded(texts[:0])] == [0, 0]


def test_diversity_is_the_mean_jaccard_distance_of_genres() -> None:
    # Genres AB, B, none, C.
    genres = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
    # 1 − 1/2, 1 and 1; the movie without genres does not count.
    lists = np.array([[0, 1, 3, 2]])
    assert genre_diversity(lists, genres) == pytest.approx((0.5 + 1 + 1) / 3)
    assert genre_diversity(np.array([[0, -1]]), genres) is None


def test_every_condition_has_its_value_and_its_limit() -> None:
    run = summary(rmse=Rmse(train=0.8, eval=0.9, holdout=0.95), slices={"movie_genres=War": 0.93})
    config = PipelineConfig(gate=GateConfig(slices=("movie_genres=War",)))
    found = {one.name: one for one in conditions(run, config)}
    assert (found["RMSE"].value, found["RMSE"].limit, found["RMSE"].met) == (
        "0.9500",
        "≤ 0.94",
        False,
    )
    # 0.95 of biases only less 0.95.
    assert found["gain over biases"].met is False
    assert found["change of RMSE"].met is None
    assert found["RMSE on movie_genres=War"].met is True


def test_the_change_of_a_ranking_has_its_interval() -> None:
    run = summary(rmse=None, ranking=RANKING)
    change = Interval(confidence=0.95, difference=-0.02, low=-0.05, high=0.01)
    gate = run.gate.model_copy(update={"baseline_ndcg_at_10": 0.32, "ndcg_interval": change})
    compared = run.model_copy(update={"gate": gate})
    found = {one.name: one for one in conditions(compared, PipelineConfig())}
    assert found["change of NDCG@10"].value == "-0.0200 ± 0.0300"
    # gate.max_ranking_regression is 0.01.
    assert found["change of NDCG@10"].met is False
    first = {one.name: one for one in conditions(run, PipelineConfig())}
    assert first["change of NDCG@10"].value == "nothing to compare with"


def test_all_that_may_refuse_a_ranking_is_a_condition() -> None:
    run = summary(rmse=None, ranking=RANKING)
    compared: dict[str, Any] = {
        "baseline_ndcg_at_10": 0.305,
        "baseline_recall_at_10": 0.23,
        "baseline_ndcg_at_10_when_blessed": 0.335,
        "below_best": 0.03,
    }
    found = met(run, **compared)
    assert found["change of NDCG@10"] == ("-0.0050", "≥ -0.01", True)
    assert found["change of Recall@10"] == ("-0.0300", "≥ -0.01", False)
    # The limits are those of gate.max_ranking_drift_from_best and gate.max_baseline_ndcg_shift.
    assert found["NDCG@10 lost since the best model"] == ("0.0300", "≤ 0.02", False)
    assert found["move of the last blessed model's NDCG@10"] == ("0.0300", "≤ 0.02", False)
    accepted = met(run, **compared, baseline_move_accepted=True)
    assert accepted["move of the last blessed model's NDCG@10 (accepted)"][2] is True
    # Ratings are what a model with both is judged by there.
    both = met(summary(ranking=RANKING), **compared)
    assert "move of the last blessed model's NDCG@10" not in both


@pytest.mark.parametrize(("error", "limit", "within"), [(0.01, 0.02, False), (0.04, 0.04, True)])
def test_the_move_of_rmse_is_the_one_that_the_gate_judges(
    error: float, limit: float, within: bool
) -> None:
    """Without the user who moves it most, and beyond its standard error."""
    moved = {
        "baseline_rmse": 0.99,
        "baseline_rmse_when_blessed": 0.9,
        "baseline_shift": Shift(moved=-0.03, standard_error=error),
    }
    found = met(summary(), **moved)
    name = "move of the last blessed model's RMSE, without the user who moves it most"
    assert found[name] == ("0.0300", f"≤ {limit:g}", within)


def test_the_golden_set_has_conditions_where_it_is_compared() -> None:
    ours = GoldenFigures(pairs="", ratings=9, rmse=0.95, ndcg=0.3, best_rmse=0.93, best_ndcg=0.305)
    name = "rise of RMSE above the best model's on the golden set"
    assert name not in met(summary(), golden=GoldenComparison(candidate=ours))
    found = met(summary(), golden=GoldenComparison(candidate=ours, baseline=ours))
    # gate.max_golden_regression is 0.01.
    assert found[name] == ("0.0200", "≤ 0.01", False)
    assert found["fall of NDCG@10 below the best model's there"] == ("0.0050", "≤ 0.01", True)
    noisy = GoldenComparison(candidate=ours, baseline=ours, standard_error=0.03)
    assert met(summary(), golden=noisy)[name] == ("0.0200", "≤ 0.03", True)


def met(run: Summary, **changed: Any) -> dict[str, tuple[str, str, bool | None]]:
    """Value, limit and verdict of the conditions, with other figures of the gate."""
    judged = run.model_copy(update={"gate": run.gate.model_copy(update=changed)})
    found = conditions(judged, PipelineConfig())
    return {one.name: (one.value, one.limit, one.met) for one in found}


def test_slices_of_a_retrieval_model_have_intervals_over_users() -> None:
    run = summary(
        rmse=None,
        slices={
            "user_age_group=56+": 0.2,
            "movie_popularity_decile=10": 0.3,
            "movie_popularity_decile=9": 0.1,
            "movie_genres=War": 0.25,
            "user_age_group=under 18": 0.4,
        },
        slice_errors={"movie_genres=War": 0.01, "movie_popularity_decile=10": 0.02},
    )
    found = ranking_slices(run)
    assert [(one.feature, one.value) for one in found] == [
        ("movie_genres", "War"),
        ("movie_popularity_decile", "9"),
        ("movie_popularity_decile", "10"),
        ("user_age_group", "under 18"),
        ("user_age_group", "56+"),
    ]
    # 1.959964 is the 97.5 % quantile of the standard normal distribution.
    assert found[0].ends == pytest.approx((0.25 - 0.01959964, 0.25 + 0.01959964))
    assert found[1].ends is None
    config = PipelineConfig(gate=GateConfig(slices=("movie_genres=War",)))
    shown = {one.name: one.value for one in conditions(run, config)}
    assert shown["NDCG@10 on movie_genres=War"] == "0.2500 ± 0.0196"
    assert ranking_slices(summary(slices={"movie_genres=War": 0.9})) == []


def test_a_chart_of_slices_names_the_worst_one() -> None:
    slices = [
        RankingSlice("movie_genres", "War", 0.25, (0.2, 0.3)),
        RankingSlice("movie_genres", "Drama", 0.5, None),
        RankingSlice("user_gender", "F", 0.75, None),
    ]
    found = slice_charts(slices, "NDCG@10", 0.4, lower_is_better=False)
    assert list(found) == ["movie_genres", "user_gender"]
    said = "NDCG@10 of 2 slices beside 0.4000 on the whole holdout. The lowest is 0.2500 for War."
    assert said in found["movie_genres"]
    errors, users = np.array([1.0, -1.0, 0.5]), np.array([1, 2, 2])
    errors_of = [
        figures_of("movie_genres", name, rows, errors, None, users)
        for name, rows in (("War", np.array([0, 1])), ("Drama", np.array([2])))
    ]
    (chart,) = slice_charts(errors_of, "RMSE", 0.9, lower_is_better=True).values()
    assert "The highest is 1.0000 for War." in chart


@pytest.mark.parametrize("width", [30, 120])
def test_runs_without_a_figure_in_common_say_so(width: int) -> None:
    ranking = summary(run_id="2024-01-08", rmse=None, mae=None, calibration=None)
    differing = {"configuration": [], "data": [], "figures": changes.of_figures(summary(), ranking)}
    found = Comparison(summary(), ranking, differing, {}, [], "the runs differ in kind of model")
    written = io.StringIO()
    tables.show_comparison(Console(file=written, width=width), found)
    assert written.getvalue().splitlines() == [
        "configuration: the same",
        "data: the same",
        "figures: none in common",
        "no paired intervals: the runs differ in kind of model",
    ]
    assert "The runs have no figure in common." in render(found)


def test_changes_are_what_differs() -> None:
    before = PipelineConfig()
    now = PipelineConfig(gate=GateConfig(max_rmse=0.9, slices=("movie_genres=War",)))
    assert {one.name: (one.before, one.now) for one in changes.of_configuration(before, now)} == {
        "gate.max_rmse": ("0.94", "0.9"),
        "gate.slices": ("[]", "['movie_genres=War']"),
    }
    better = summary(rmse=Rmse(train=0.8, eval=0.94, holdout=0.91))
    figures = {one.name: one.difference for one in changes.of_figures(summary(), better)}
    assert figures["RMSE"] == "-0.0200"
    assert figures["RMSE on train"] == "+0.0000"
    assert changes.of_data(summary(), summary()) == []


def test_the_interval_of_a_mean_difference_is_that_of_a_bootstrap(rng: np.random.Generator) -> None:
    hard = rng.normal(0, 1, 500)
    now, before = hard + rng.normal(0.1, 0.3, 500), hard
    found = mean_difference(now, before)
    assert found.difference == pytest.approx(np.mean(now) - np.mean(before))
    draws = rng.integers(0, 500, (4000, 500))
    low, high = np.quantile((now - before)[draws].mean(1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * (high - low))
