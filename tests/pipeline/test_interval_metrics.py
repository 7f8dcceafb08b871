"""Likelihoods and coverages of the evaluation, against SciPy's normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types

from pipeline.interval_metrics import NAMES, IntervalMetrics
from pipeline.summary import Intervals


def batch(
    label: np.ndarray, prediction: np.ndarray, deviation: np.ndarray | None
) -> metric_types.StandardMetricInputs:
    transformed = {} if deviation is None else {"standard_deviation": deviation}
    return metric_types.StandardMetricInputs(
        {
            constants.LABELS_KEY: label,
            constants.PREDICTIONS_KEY: {"rating": prediction},
            constants.TRANSFORMED_FEATURES_KEY: transformed,
        }
    )


def measured(*batches: metric_types.StandardMetricInputs) -> dict[str, float]:
    (computation,) = IntervalMetrics().computations(model_names=[""])
    combiner = computation.combiner
    parts = [combiner.add_input(combiner.create_accumulator(), each) for each in batches]
    output = combiner.extract_output(combiner.merge_accumulators(parts))
    assert set(output) == set(computation.keys)
    return {key.name: value for key, value in output.items()}


def test_the_figures_are_those_of_the_normal_distribution(rng: np.random.Generator) -> None:
    label = rng.integers(1, 6, 300).astype(np.float32)
    prediction = rng.uniform(1, 5, 300).astype(np.float32)
    deviation = rng.uniform(0.5, 1.5, 300).astype(np.float32)
    normal = stats.norm(prediction.astype(np.float64), deviation.astype(np.float64))
    found = measured(
        *(
            batch(label[rows], prediction[rows], deviation[rows])
            for rows in (slice(9), slice(9, 300))
        )
    )
    expected = {"negative_log_likelihood": -np.mean(normal.logpdf(label))}
    for level in (50, 80, 95):
        low, high = normal.interval(level / 100)
        expected[f"coverage_{level}"] = np.mean((low <= label) & (label <= high))
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_summary_has_all_figures() -> None:
    assert set(Intervals.model_fields) == set(NAMES)
    found = Intervals.model_validate({name: at for at, name in enumerate(NAMES)})
    assert found.coverages == {0.5: 1, 0.8: 2, 0.95: 3}


def test_a_baseline_that_does_not_know_has_no_figures() -> None:
    stars = np.array([4.0], np.float32)
    assert np.isnan([measured(batch(stars, stars, None))[name] for name in NAMES]).all()


def test_inputs_of_a_baseline_without_deviations_are_let_through() -> None:
    extracts = {
        constants.LABELS_KEY: {"baseline": np.array([4.0])},
        constants.PREDICTIONS_KEY: {"baseline": {"rating": np.array([3.0])}},
        constants.TRANSFORMED_FEATURES_KEY: {"baseline": {"user_activity": np.array(["0"])}},
        constants.SLICE_KEY_TYPES_KEY: [()],
    }
    _, computation = IntervalMetrics().computations(model_names=["candidate", "baseline"])
    (preprocessor,) = computation.preprocessors
    (passed,) = preprocessor.process(extracts)
    inputs = metric_types.StandardMetricInputs(passed)
    combiner = computation.combiner
    assert not combiner.add_input(combiner.create_accumulator(), inputs).any()
