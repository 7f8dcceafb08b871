"""Verdicts on figures, with the arithmetic of each limit done by hand."""

from __future__ import annotations

import math

import pytest

from components.gate.interval import Interval
from components.gate.judgement import Baseline, Figures, Judgement, judge
from components.gate.limits import GateLimits
from components.gate.record import GateRecord
from components.gate.shift import Shift
from models.beyond_accuracy import BeyondAccuracy


def weeks(rises: list[float], limits: GateLimits, start: float = 0.9) -> list[Judgement]:
    """Judges one model after the other, each against the one before, until one is refused."""
    rmse, record, judged = start, GateRecord(rmse=start, ndcg=None), []
    for rise in rises:
        baseline = Baseline(Figures(rmse=rmse), record)
        rmse += rise
        judgement = judge(Figures(rmse=rmse), baseline, 1.0, limits)
        judged.append(judgement)
        if judgement.failures:
            break
        record = GateRecord(rmse=rmse, ndcg=None, above_best=judgement.above_best)
    return judged


def test_small_losses_do_not_add_up() -> None:
    """0.0049, 0.0098 and 0.0147 stars above the best: the third is more than 0.01."""
    judged = weeks([0.0049] * 8, GateLimits(max_drift_from_best=0.01))
    assert [bool(week.failures) for week in judged] == [False, False, True]
    assert "gate.max_drift_from_best" in judged[-1].failures[0]
    assert [week.above_best for week in judged] == pytest.approx([0.0049, 0.0098, 0.0147])


def test_the_best_model_counts_not_the_first() -> None:
    """After a gain of 0.02 the loss is measured from there; a gain is not a credit."""
    judged = weeks([0.004, -0.02, 0.006, 0.006], GateLimits(max_drift_from_best=0.01))
    assert [week.above_best for week in judged] == pytest.approx([0.004, 0.0, 0.006, 0.012])
    assert judged[-1].failures


def test_a_harder_holdout_is_not_a_loss() -> None:
    """The change is taken on one holdout, so its own level cancels out."""
    record = GateRecord(rmse=0.90, ndcg=None, above_best=0.004)
    baseline = Baseline(Figures(rmse=0.915), record)
    judgement = judge(Figures(rmse=0.914), baseline, 1.0, GateLimits())
    assert judgement.failures == ()
    assert judgement.above_best == pytest.approx(0.003)


def test_ranking_losses_do_not_add_up_either() -> None:
    record = GateRecord(rmse=None, ndcg=0.3, below_best=0.015)
    baseline = Baseline(Figures(ndcg=0.3), record)
    limits = GateLimits(max_ranking_drift_from_best=0.02)
    assert judge(Figures(ndcg=0.296), baseline, math.inf, limits).failures == ()
    judgement = judge(Figures(ndcg=0.294), baseline, math.inf, limits)
    assert judgement.below_best == pytest.approx(0.021)
    assert "gate.max_ranking_drift_from_best" in judgement.failures[0]


@pytest.mark.parametrize(
    ("now", "refused"), [(0.913, False), (0.932, False), (0.934, True), (1.486, True), (0.6, True)]
)
def test_a_last_model_that_fares_otherwise_is_an_alarm(now: float, refused: bool) -> None:
    """The new model is perfect on the same poisoned holdout; the last one tells."""
    shift = Shift(moved=now - 0.913, standard_error=0.01)
    baseline = Baseline(Figures(rmse=now), GateRecord(rmse=0.913, ndcg=None), shift)
    limits = GateLimits(max_baseline_shift=0.02)
    judgement = judge(Figures(rmse=0.5), baseline, 1.0, limits)
    assert bool(judgement.failures) == refused
    assert judgement.baseline_rmse_when_blessed == 0.913
    assert judgement.shift == shift
    assert not judgement.move_accepted
    if refused:
        assert "gate.max_baseline_shift" in judgement.failures[0]
        assert f"from 0.9130 to {now:.4f}" in judgement.failures[0]
        accepted = judge(Figures(rmse=0.5), baseline, 1.0, limits, accepted=["baseline"])
        assert accepted.failures == ()
        assert accepted.notes[0].startswith("accepted: ")
        assert accepted.move_accepted


@pytest.mark.parametrize(
    ("now", "refused"), [(0.281, False), (0.279, True), (0.321, True), (math.nan, True)]
)
def test_a_last_retrieval_model_that_fares_otherwise_is_an_alarm(now: float, refused: bool) -> None:
    """NaN is the NDCG@10 of a holdout in which nothing is liked."""
    baseline = Baseline(Figures(ndcg=now), GateRecord(rmse=None, ndcg=0.3))
    limits = GateLimits(max_baseline_ndcg_shift=0.02, max_ranking_drift_from_best=1)
    judgement = judge(Figures(ndcg=0.3), baseline, 1.0, limits)
    assert bool(judgement.failures) == refused
    assert judgement.baseline_ndcg_when_blessed == 0.3
    if refused:
        assert "gate.max_baseline_ndcg_shift" in judgement.failures[0]
        accepted = judge(Figures(ndcg=0.3), baseline, 1.0, limits, accepted=["baseline"])
        assert accepted.failures == ()


def test_another_rating_that_counts_as_liked_is_no_move_of_the_data() -> None:
    baseline = Baseline(Figures(ndcg=0.2), GateRecord(rmse=None, ndcg=0.3, liked_rating=4.0))
    limits = GateLimits(max_baseline_ndcg_shift=0.02, max_ranking_drift_from_best=1)
    same = judge(Figures(ndcg=0.3), baseline, 1.0, limits, liked_rating=4.0)
    assert "gate.max_baseline_ndcg_shift" in same.failures[0]
    other = judge(Figures(ndcg=0.3), baseline, 1.0, limits, liked_rating=3.5)
    assert other.failures == ()
    assert any("model.liked_rating was 4" in note for note in other.notes)
    assert (same.baseline_ndcg_when_blessed, other.baseline_ndcg_when_blessed) == (0.3, None)


def test_a_model_that_predicts_ratings_is_judged_by_their_errors() -> None:
    record = GateRecord(rmse=0.9, ndcg=0.3)
    shift = Shift(moved=0.0, standard_error=0.0)
    baseline = Baseline(Figures(rmse=0.9, ndcg=0.27), record, shift)
    assert judge(Figures(rmse=0.9, ndcg=0.3), baseline, 1.0, GateLimits()).failures == ()


def test_a_move_within_the_standard_error_is_no_alarm() -> None:
    record = GateRecord(rmse=0.913, ndcg=None)
    for error, refused in ((0.03, True), (0.05, False)):
        baseline = Baseline(Figures(rmse=0.953), record, Shift(moved=0.04, standard_error=error))
        assert bool(judge(Figures(rmse=0.9), baseline, 1.0, GateLimits()).failures) == refused


@pytest.mark.parametrize(("rmse", "refused"), [(0.899, False), (0.901, True), (0.95, True)])
def test_a_model_must_beat_biases_alone(rmse: float, refused: bool) -> None:
    limits = GateLimits(min_gain_over_biases=0.05)
    judgement = judge(Figures(rmse=rmse), None, 0.95, limits)
    assert any("gate.min_gain_over_biases" in line for line in judgement.failures) == refused


def test_figures_that_are_no_numbers_are_no_success() -> None:
    """NaN is neither above a limit nor below it."""
    record = GateRecord(rmse=0.9, ndcg=None)
    still = Shift(moved=0.0, standard_error=0.01)
    limits = GateLimits(confidence=0.95)
    cases = {
        "gate.min_gain_over_biases": (math.nan, still, 0.0),
        "gate.max_baseline_shift": (0.9, Shift(moved=math.nan, standard_error=math.nan), 0.0),
        "gate.confidence": (0.9, still, math.nan),
    }
    for key, (rmse, shift, high) in cases.items():
        interval = Interval(confidence=0.95, difference=high, low=high, high=high)
        baseline = Baseline(Figures(rmse=0.9), record, shift)
        judgement = judge(Figures(rmse=rmse), baseline, 1.0, limits, interval)
        assert any(key in line for line in judgement.failures), key
        assert judgement.above_best == 0


def test_ratings_that_are_all_equal_are_no_success() -> None:
    """Any model is perfect on them, and so are the biases."""
    assert judge(Figures(rmse=0.0), None, 0.0, GateLimits()).failures


def test_a_model_without_ratings_need_not_beat_biases() -> None:
    assert judge(Figures(ndcg=0.2), None, 0.9, GateLimits()).failures == ()


def test_an_open_gate_says_so_or_stays_shut() -> None:
    figures, why = Figures(rmse=0.9), "another seed"
    open_gate = judge(figures, None, 1.0, GateLimits(), why_no_baseline=why)
    assert (open_gate.failures, open_gate.notes) == ((), (why,))
    shut = judge(figures, None, 1.0, GateLimits(require_baseline=True), why_no_baseline=why)
    assert shut.failures == ("another seed (gate.require_baseline)",)


@pytest.mark.parametrize(
    ("confidence", "high", "refused"),
    [(None, 0.02, False), (0.95, 0.0049, False), (0.95, 0.0051, True)],
)
def test_a_rise_must_be_ruled_out_with_the_confidence_that_is_asked_for(
    confidence: float | None, high: float, refused: bool
) -> None:
    baseline = Baseline(Figures(rmse=0.9), GateRecord(rmse=0.9, ndcg=None))
    limits = GateLimits(max_regression=0.005, confidence=confidence)
    interval = Interval(confidence=0.95, difference=0.001, low=-0.003, high=high)
    judgement = judge(Figures(rmse=0.901), baseline, 1.0, limits, interval)
    assert any("gate.confidence" in line for line in judgement.failures) == refused
    assert f"-0.0030 to {high:+.4f}" in judgement.notes[0]


def test_the_interval_of_a_ranking_is_told_and_decides_nothing() -> None:
    baseline = Baseline(Figures(ndcg=0.3), GateRecord(rmse=None, ndcg=0.3))
    interval = Interval(confidence=0.9, difference=-0.004, low=-0.05, high=0.042)
    judgement = judge(
        Figures(ndcg=0.296), baseline, 1.0, GateLimits(confidence=0.9), ndcg_interval=interval
    )
    assert judgement.failures == ()
    assert "NDCG@10 changes by -0.0500 to +0.0420 with 0.9 confidence" in judgement.notes
    assert judgement.ndcg_interval == interval


def test_an_export_without_a_record_is_compared_as_far_as_it_goes() -> None:
    baseline = Baseline(Figures(rmse=0.9), None)
    judgement = judge(Figures(rmse=0.905), baseline, 1.0, GateLimits())
    assert judgement.failures == ()
    assert judgement.above_best == pytest.approx(0.005)
    assert "no record" in judgement.notes[0]
    assert judge(Figures(rmse=0.92), baseline, 1.0, GateLimits()).failures


def test_too_few_or_too_popular_recommendations_refuse_a_model() -> None:
    lists = BeyondAccuracy(
        users=9, k=10, coverage=0.2, gini=0.9, novelty=3.0, long_tail_share=0.1,
        average_popularity=70.0, popularity_lift=0.3,
    )  # fmt: skip

    def failures(lists: BeyondAccuracy, **limits: float) -> tuple[str, ...]:
        return judge(Figures(rmse=0.9), None, 1.0, GateLimits(**limits), lists=lists).failures

    assert failures(lists, min_catalogue_coverage=0.2, max_popularity_lift=0.3) == ()
    (few,) = failures(lists, min_catalogue_coverage=0.21)
    assert "0.2000 of the catalogue" in few
    (popular,) = failures(lists, max_popularity_lift=0.29)
    assert "+0.3000 more popular" in popular
    nothing = lists.model_copy(update={"coverage": 0.0, "popularity_lift": None})
    assert len(failures(nothing, min_catalogue_coverage=0.1, max_popularity_lift=1)) == 2
