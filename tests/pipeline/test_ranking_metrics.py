"""The figures of a ranking as TFMA's metric computes them, beside a loop over users."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types

from pipeline.ranking_metrics import RankingMetrics

LIKED = 4.0


def measured(*batches: dict[str, np.ndarray]) -> dict[str, float]:
    (computation,) = RankingMetrics(LIKED).computations(model_names=[""])
    combiner = computation.combiner
    parts = []
    for one in batches:
        inputs = metric_types.StandardMetricInputs(
            {
                constants.LABELS_KEY: one["rating"],
                constants.FEATURES_KEY: {"user_id": one["user_id"]},
                constants.TRANSFORMED_FEATURES_KEY: {
                    "rank": one["rank"],
                    "popularity_rank": one["popularity_rank"],
                },
            }
        )
        parts.append(combiner.add_input(combiner.create_accumulator(), inputs))
    output = combiner.extract_output(combiner.merge_accumulators(parts))
    assert set(output) == set(computation.keys)
    return {key.name: value for key, value in output.items()}


def test_the_standard_error_is_that_of_the_mean_over_users(rng: np.random.Generator) -> None:
    users = rng.choice(np.array([b"a", b"b", b"c", b"d"], object), 60)
    rows = {
        "user_id": users,
        "rating": rng.integers(1, 6, 60).astype(np.float32),
        "rank": rng.permutation(60) + 1,
        "popularity_rank": rng.permutation(60) + 1,
    }
    by_user = []
    for user in sorted(set(users)):
        ranks = rows["rank"][(users == user) & (rows["rating"] >= LIKED)]
        gain = sum(1 / math.log2(rank + 1) for rank in ranks if rank <= 10)
        by_user.append(gain / sum(1 / math.log2(at + 2) for at in range(min(10, len(ranks)))))
    cut = 25
    found = measured(
        {name: values[:cut] for name, values in rows.items()},
        {name: values[cut:] for name, values in rows.items()},
    )
    assert found["ndcg_at_10"] == pytest.approx(np.mean(by_user))
    expected = np.std(by_user, ddof=1) / math.sqrt(len(by_user))
    assert expected > 0
    assert found["ndcg_at_10_standard_error"] == pytest.approx(expected)


def changes(users: np.ndarray, ours: np.ndarray, theirs: np.ndarray, cut: int) -> float:
    """The standard error of the change as TFMA has it, all movies liked, from two batches."""
    *_, computation = RankingMetrics(LIKED).computations(model_names=["candidate", "baseline"])
    (key,) = computation.keys
    assert (key.name, key.model_name) == ("ndcg_at_10_change_standard_error", "candidate")
    combiner = computation.combiner
    parts = []
    for rows in (slice(None, cut), slice(cut, None)):
        inputs = metric_types.StandardMetricInputs(
            {
                constants.LABELS_KEY: np.full(len(users), 5.0)[rows],
                constants.FEATURES_KEY: {"user_id": users[rows]},
                constants.TRANSFORMED_FEATURES_KEY: {
                    "candidate": {"rank": ours[rows]},
                    "baseline": {"rank": theirs[rows]},
                },
            }
        )
        parts.append(combiner.add_input(combiner.create_accumulator(), inputs))
    return combiner.extract_output(combiner.merge_accumulators(parts))[key]


def test_the_change_has_the_standard_error_of_paired_differences() -> None:
    users = np.array([b"a", b"b", b"c"], object)
    # With one liked movie at rank r, NDCG is 1 / log2(1 + r): 1, 1/2 and 0 at 1, 3 and 11.
    found = changes(users, np.array([1, 3, 11]), np.array([3, 3, 1]), cut=2)
    differences = [1 - 0.5, 0.5 - 0.5, 0 - 1]
    assert found == pytest.approx(np.std(differences, ddof=1) / math.sqrt(3))
    # The same models differ by nothing, however users differ.
    assert changes(users, np.array([1, 3, 11]), np.array([1, 3, 11]), cut=1) == 0
    assert math.isnan(changes(np.array([b"a", b"a"], object), *np.ones((2, 2), int), cut=1))


def test_without_a_baseline_there_is_no_change() -> None:
    for names in (None, [""], ["candidate"]):
        computations = RankingMetrics(LIKED).computations(model_names=names)
        assert [key.name for one in computations for key in one.keys if "change" in key.name] == []


def test_a_slice_of_one_user_has_no_standard_error() -> None:
    rows = {
        "user_id": np.array([b"a", b"b"], object),
        "rating": np.array([5.0, 1.0], np.float32),
        "rank": np.array([1, 2]),
        "popularity_rank": np.array([2, 1]),
    }
    found = measured(rows)
    assert found["ndcg_at_10"] == 1
    assert math.isnan(found["ndcg_at_10_standard_error"])
