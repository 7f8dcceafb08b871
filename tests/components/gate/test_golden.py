"""Models on the golden set: their figures by NumPy, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.gate import golden
from components.gate.limits import GateLimits
from components.gate.record import GateRecord, GoldenComparison, GoldenFigures

GOLDEN = {
    "user_id": np.array([b"a", b"a", b"b", b"c"], object),
    "movie_id": np.array([b"1", b"2", b"1", b"3"], object),
    "rating": np.array([5.0, 4.0, 1.0, 3.0], np.float32),
}


class Model(tf.Module):
    """Predicts one rating for everybody, and ranks each movie at its id."""

    def __init__(self, rating: float) -> None:
        super().__init__()
        self.rating = tf.Variable(rating)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, n) for n in ("user_id", "movie_id")]
    )
    def predict(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        del movie_id
        return {"rating": tf.fill(tf.shape(user_id), self.rating)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {"movie_id": tf.io.FixedLenFeature([], tf.string)})
        rank = tf.strings.to_number(parsed["movie_id"], tf.int32)
        return {"rank": rank, "popularity_rank": rank}


def export(folder: Path, rating: float) -> str:
    model = Model(rating)
    signatures = {
        "predict": model.predict,
        "transform_features": model.transform_features,
        "recommend": model.predict,
    }
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return str(folder)


def figures(rmse: float, pairs: str = "set", best: float | None = None) -> GoldenFigures:
    return GoldenFigures(
        pairs=pairs, ratings=100, rmse=rmse, ndcg=None, best_rmse=best or rmse, best_ndcg=None
    )


def test_figures_are_those_of_both_models_own_answers(tmp_path: Path) -> None:
    last, new = export(tmp_path / "last", 3.0), export(tmp_path / "new", 3.5)
    first = golden.compare(last, None, None, GOLDEN, 4.0)
    assert first.baseline is None
    assert first.candidate.ratings == 4
    assert first.candidate.rmse == pytest.approx(np.sqrt((4 + 1 + 4 + 0) / 4))
    # a likes movies 1 and 2, which rank first and second; nobody else likes anything.
    assert first.candidate.ndcg == pytest.approx(1.0)
    record = GateRecord(rmse=0.9, ndcg=None, golden=first.candidate)
    found = golden.compare(new, last, record, GOLDEN, 4.0)
    assert found.candidate.rmse == pytest.approx(np.sqrt((2.25 + 0.25 + 6.25 + 0.25) / 4))
    assert found.baseline is not None
    assert found.baseline.rmse == first.candidate.rmse
    # Sums by user of the differences of squares, less their mean of 0, over twice the RMSE of 1.5.
    sums = np.array([-1.75 - 0.75, 2.25, 0.25]) / 3
    assert found.standard_error == pytest.approx(np.sqrt(3 / 2 * np.sum(sums**2)) / 4)


def test_a_model_that_may_know_the_golden_set_is_not_compared_with(tmp_path: Path) -> None:
    """A model without a record of this very set may have been trained on its ratings."""
    last = export(tmp_path / "last", 3.0)
    for record in (None, GateRecord(rmse=0.9, ndcg=None, golden=figures(0.5, "another"))):
        found = golden.compare(last, last, record, GOLDEN, 4.0)
        assert found.baseline is None
        assert list(golden.objections(found, GateLimits())) == []
        assert "no model to compare with" in golden.note(found)


def test_where_its_stars_were_corrected_the_last_model_counts(tmp_path: Path) -> None:
    """The best figure of earlier models is one on other ratings."""
    last, new = export(tmp_path / "last", 3.0), export(tmp_path / "new", 3.0)
    before = golden.compare(last, None, None, GOLDEN, 4.0).candidate
    record = GateRecord(rmse=0.9, ndcg=None, golden=before)
    corrected = {**GOLDEN, "rating": np.array([5.0, 5.0, 1.0, 5.0], np.float32)}
    found = golden.compare(new, last, record, corrected, 4.0)
    assert found.baseline is not None
    assert found.candidate.rmse == pytest.approx(2.0)
    assert found.baseline.best_rmse == found.candidate.best_rmse == pytest.approx(2.0)
    assert list(golden.objections(found, GateLimits())) == []
    # Without a correction, the best one counts, in a record of an earlier release too.
    for stars in (before.stars, ""):
        best = before.model_copy(update={"best_rmse": 1.0, "stars": stars})
        found = golden.compare(new, last, record.model_copy(update={"golden": best}), GOLDEN, 4.0)
        assert found.candidate.best_rmse == 1.0
        assert list(golden.objections(found, GateLimits()))


@pytest.mark.parametrize(
    ("rmse", "error", "refused"),
    [(0.909, 0.001, False), (0.911, 0.001, True), (0.93, 0.04, False), (0.5, 0.0, False)],
)
def test_a_rise_is_refused_unless_it_is_noise(rmse: float, error: float, refused: bool) -> None:
    comparison = GoldenComparison(
        candidate=figures(rmse), baseline=figures(0.9), standard_error=error
    )
    found = list(golden.objections(comparison, GateLimits(max_golden_regression=0.01)))
    assert bool(found) == refused
    assert not refused or "gate.max_golden_regression" in found[0]


def test_small_losses_do_not_add_up_on_the_golden_set() -> None:
    """The last model lost 0.009, which was allowed; another 0.009 is not."""
    comparison = GoldenComparison(candidate=figures(0.918), baseline=figures(0.909, best=0.9))
    assert list(golden.objections(comparison, GateLimits(max_golden_regression=0.01)))


def test_a_fall_of_ndcg_is_refused_too() -> None:
    def ranked(ndcg: float) -> GoldenFigures:
        return GoldenFigures(
            pairs="set", ratings=9, rmse=None, ndcg=ndcg, best_rmse=None, best_ndcg=ndcg
        )

    for ndcg, refused in ((0.295, False), (0.285, True)):
        comparison = GoldenComparison(candidate=ranked(ndcg), baseline=ranked(0.3))
        assert bool(list(golden.objections(comparison, GateLimits()))) == refused
