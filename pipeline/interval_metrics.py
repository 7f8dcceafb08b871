"""How well a model knows its own errors, as a metric of TFMA.

The exported model (`transform_features`) returns the standard deviation of each rating. Ratings are
taken as normal around the prediction.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist
from typing import Any, Final

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types

from models import features, signature_names

NLL: Final = "negative_log_likelihood"
LEVELS: Final = (0.5, 0.8, 0.95)
"""Probabilities of the central intervals whose coverage is measured."""
COVERAGES: Final = tuple(f"coverage_{round(100 * level)}" for level in LEVELS)
NAMES: Final = (NLL, *COVERAGES)

# The number of ratings, then a sum for each of `NAMES`.
_Sums = np.ndarray[Any, np.dtype[np.float64]]


class IntervalMetrics(metric_types.Metric):
    """TFMA metric with the likelihood and the coverages, for extracts of `sliced_batches`."""

    def __init__(self, name: str = "interval_metrics") -> None:
        """Constructs the metric.

        Args:
            name: Name of the metric. Its figures have names of their own, `NAMES`.
        """
        super().__init__(_computations, name=name)


def _computations(
    name: str, model_names: list[str] | None = None, **_: Any
) -> metric_types.MetricComputations:
    """Returns one computation for each evaluated model."""
    return [
        metric_types.MetricComputation(
            keys=[_key(figure, model_name) for figure in NAMES],
            preprocessors=[_inputs(model_name)],
            combiner=_Combiner(model_name),
        )
        for model_name in model_names or [""]
    ]


def _key(figure: str, model_name: str) -> metric_types.MetricKey:
    return metric_types.MetricKey(figure, model_name=model_name, example_weighted=None)


def _inputs(model_name: str) -> metric_types.Preprocessor:
    """Returns a preprocessor that keeps the standard deviations that a model gives."""
    read: dict[str, Any] = {signature_names.STANDARD_DEVIATION: {}}
    return metric_types.StandardMetricInputsPreprocessor(
        include_filter={
            constants.TRANSFORMED_FEATURES_KEY: {model_name: read} if model_name else read
        },
        model_names=[model_name] if model_name else None,
        # TFMA merges preprocessors with the same name.
        name=f"interval_inputs {model_name}",
    )


class _Combiner(beam.CombineFn):
    """Adds up the figures of ratings."""

    def __init__(self, model_name: str) -> None:
        self._model_name = model_name

    def create_accumulator(self) -> _Sums:
        return np.zeros(1 + len(NAMES))

    def add_input(self, accumulator: _Sums, element: metric_types.StandardMetricInputs) -> _Sums:
        model = self._model_name
        given = element.get_transformed_features(model) or {}
        if signature_names.STANDARD_DEVIATION not in given:
            # A baseline that an earlier release exported.
            return accumulator
        deviation = _wide(given[signature_names.STANDARD_DEVIATION])
        prediction = _wide(element.get_predictions(model, features.RATING))
        errors = (_wide(element.get_labels(model)) - prediction) / deviation
        nll = np.log(2 * np.pi * np.square(deviation)) / 2 + np.square(errors) / 2
        within = [
            np.count_nonzero(np.abs(errors) <= NormalDist().inv_cdf((1 + level) / 2))
            for level in LEVELS
        ]
        return accumulator + np.array([len(errors), nll.sum(), *within])

    def merge_accumulators(self, accumulators: Iterable[_Sums]) -> _Sums:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: _Sums) -> dict[metric_types.MetricKey, float]:
        count, *sums = accumulator.tolist()
        return {
            _key(name, self._model_name): value / count if count else float("nan")
            for name, value in zip(NAMES, sums, strict=True)
        }


def _wide(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(values, np.float64).reshape(-1)
