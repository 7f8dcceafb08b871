"""RMSE, mean absolute error and calibration, as metrics of TFMA that take a batch at a time.

They have the names, the keys and the figures of TFMA's own, which take one rating at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types

from models import features

RMSE: Final = "root_mean_squared_error"
MAE: Final = "mean_absolute_error"
CALIBRATION: Final = "calibration"

_Vector = np.ndarray[Any, np.dtype[np.float32]]
# A figure is the quotient of two sums over the ratings.
_Sums = tuple[float, float]
_SUMS: Final[dict[str, Callable[[_Vector, _Vector], _Sums]]] = {
    RMSE: lambda label, prediction: (
        _sum(np.square(prediction - label, dtype=np.float64)),
        len(label),
    ),
    MAE: lambda label, prediction: (_sum(np.abs(prediction - label)), len(label)),
    CALIBRATION: lambda label, prediction: (_sum(prediction), _sum(label)),
}
NAMES: Final = tuple(_SUMS)


class RatingMetric(metric_types.Metric):
    """TFMA metric of predicted ratings, for extracts of `pipeline.sliced_batches`."""

    def __init__(self, name: str) -> None:
        """Constructs the metric.

        Args:
            name: One of `NAMES`.
        """
        super().__init__(_computations, name=name)


def _computations(
    name: str, model_names: list[str] | None = None, example_weighted: bool = False, **_: Any
) -> metric_types.MetricComputations:
    """Returns one computation for each evaluated model."""
    keys = [
        metric_types.MetricKey(name, model_name=model, example_weighted=example_weighted)
        for model in model_names or [""]
    ]
    # No preprocessor: TFMA then passes the labels and the predictions.
    return [metric_types.MetricComputation([key], None, _Combiner(key)) for key in keys]


class _Combiner(beam.CombineFn):
    """Adds up the two sums of a figure."""

    def __init__(self, key: metric_types.MetricKey) -> None:
        self._key = key

    def create_accumulator(self) -> _Sums:
        return 0.0, 0.0

    def add_input(self, accumulator: _Sums, element: metric_types.StandardMetricInputs) -> _Sums:
        model = self._key.model_name
        label = element.get_labels(model)
        prediction = element.get_predictions(model, features.RATING)
        added = _SUMS[self._key.name](np.ravel(label), np.ravel(prediction))
        return self.merge_accumulators([accumulator, added])

    def merge_accumulators(self, accumulators: Iterable[_Sums]) -> _Sums:
        dividends, divisors = zip(*accumulators, strict=True)
        return sum(dividends), sum(divisors)

    def extract_output(self, accumulator: _Sums) -> dict[metric_types.MetricKey, float]:
        dividend, divisor = accumulator
        value = dividend / divisor if divisor else float("nan")
        if self._key.name == RMSE:
            # In float32, as TFMA's has it, which is Keras' metric.
            return {self._key: float(np.float32(np.sqrt(value)))}
        return {self._key: value}


def _sum(values: np.ndarray[Any, Any]) -> float:
    return float(np.sum(values, dtype=np.float64))
