"""The gate, in TFMA's terms."""

from __future__ import annotations

from tensorflow_model_analysis.proto import config_pb2

from models import features, signature_names
from pipeline.config import SLICE_FEATURES, GateConfig

RMSE = "root_mean_squared_error"
MAE = "mean_absolute_error"
CALIBRATION = "calibration"

_METRICS = {
    RMSE: "RootMeanSquaredError",
    MAE: "MeanAbsoluteError",
    CALIBRATION: "Calibration",
}


def evaluation_config(gate: GateConfig) -> config_pb2.EvalConfig:
    """What the Evaluator computes on the holdout, and what it blesses.

    RMSE has an upper bound and may not rise by more than `max_regression` above the baseline's,
    on the whole holdout and on the slices that the gate names.
    """
    metrics = [
        config_pb2.MetricConfig(
            class_name=class_name,
            config=f'{{"name": "{name}"}}',
            per_slice_thresholds=_thresholds(gate) if name == RMSE else [],
        )
        for name, class_name in _METRICS.items()
    ]
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name=signature_names.SERVING_DEFAULT,
                preprocessing_function_names=[signature_names.TRANSFORM_FEATURES],
                label_key=features.RATING,
                prediction_key=features.RATING,
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[name]) for name in SLICE_FEATURES),
        ],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)],
    )


def _thresholds(gate: GateConfig) -> list[config_pb2.PerSliceMetricThreshold]:
    """Both thresholds, on the whole holdout and on each slice that the gate names."""
    slices = [config_pb2.SlicingSpec()]
    for entry in gate.slices:
        feature, _, value = entry.partition("=")
        slices.append(config_pb2.SlicingSpec(feature_values={feature: value}))
    bound = config_pb2.GenericValueThreshold(upper_bound={"value": gate.max_rmse})
    change = config_pb2.GenericChangeThreshold(
        absolute={"value": gate.max_regression},
        direction=config_pb2.MetricDirection.LOWER_IS_BETTER,
    )
    return [
        config_pb2.PerSliceMetricThreshold(
            slicing_specs=slices,
            threshold=config_pb2.MetricThreshold(value_threshold=bound, change_threshold=change),
        )
    ]
