"""How well a model knows its own errors, as a metric of TFMA.

The exported model (`transform_features`) returns the standard deviation of each rating. Ratings are
taken as normal around the prediction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types

from models import features, signature_names
from models.intervals import LEVELS, negative_log_density, within
from pipeline.model_outputs import computations, figure_key

NLL: Final = "negative_log_likelihood"
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
    return computations(NAMES, [signature_names.STANDARD_DEVIATION], _Combiner, model_names)


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
        nll = negative_log_density(errors, deviation)
        covered = [np.count_nonzero(within(errors, level)) for level in LEVELS]
        return accumulator + np.array([len(errors), nll.sum(), *covered])

    def merge_accumulators(self, accumulators: Iterable[_Sums]) -> _Sums:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: _Sums) -> dict[metric_types.MetricKey, float]:
        count, *sums = accumulator.tolist()
        return {
            figure_key(name, self._model_name): value / count if count else float("nan")
            for name, value in zip(NAMES, sums, strict=True)
        }


def _wide(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(values, np.float64).reshape(-1)
