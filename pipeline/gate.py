"""The gate: the metrics that the Evaluator computes, and the thresholds that it applies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2

from components.gate.judgement import Figures
from models import features, signature_names
from models.options import ModelOptions
from pipeline import interval_metrics, ranking_metrics, rating_metrics
from pipeline.config.tree import SLICE_FEATURES, GateConfig


def evaluation_config(gate: GateConfig, model: ModelOptions) -> config_pb2.EvalConfig:
    """Returns TFMA's configuration: the metrics on the holdout and their thresholds.

    - A model that predicts ratings must keep RMSE at or below `max_rmse`, and at most
      `max_regression` above the baseline's.
    - A retrieval model must have Recall@10 and NDCG@10 at least `min_gain_over_popularity` above
      those of the most popular movies, and at most `max_ranking_regression` below the baseline's.

    The thresholds apply to the whole holdout and to each slice in `gate.slices`.

    Args:
        gate: Thresholds and slices.
        model: Options of the model; they say whether it predicts ratings, retrieves, or both.
    """
    metrics_specs = []
    if model.predicts_ratings:
        metrics_specs.append(_rating_metrics(gate))
    if model.predicts_intervals:
        metrics_specs.append(_interval_metrics())
    if model.retrieves:
        metrics_specs.append(_ranking_metrics(gate, model.liked_rating))
    prediction = features.RATING if model.predicts_ratings else signature_names.SCORE
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name=signature_names.SERVING_DEFAULT,
                preprocessing_function_names=[signature_names.TRANSFORM_FEATURES],
                label_key=features.RATING,
                prediction_key=prediction,
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[name]) for name in SLICE_FEATURES),
        ],
        metrics_specs=metrics_specs,
    )


def failures(
    candidate: Figures, baseline: Figures | None, popularity: float | None, gate: GateConfig
) -> Iterator[str]:
    """Yields the thresholds that figures fail, as the Evaluator applies them to a whole holdout.

    Args:
        candidate: Figures of the model.
        baseline: Figures of the last blessed model on the same holdout; None without one.
        popularity: NDCG@10 of the most rated movies; None for a model that retrieves nothing.
        gate: Thresholds.
    """
    last = baseline or Figures()
    if candidate.rmse is not None:
        if candidate.rmse > gate.max_rmse:
            yield f"RMSE {candidate.rmse:.4f} is above gate.max_rmse {gate.max_rmse:g}"
        if last.rmse is not None and candidate.rmse - last.rmse > gate.max_regression:
            yield f"RMSE is {candidate.rmse - last.rmse:+.6f} against the last blessed model's"
    if candidate.ndcg is not None:
        if popularity is not None and candidate.ndcg - popularity < gate.min_gain_over_popularity:
            yield f"NDCG@10 is {candidate.ndcg - popularity:+.4f} against popularity's"
        if last.ndcg is not None and last.ndcg - candidate.ndcg > gate.max_ranking_regression:
            yield f"NDCG@10 is {candidate.ndcg - last.ndcg:+.4f} against the last blessed model's"


def read_gate(text: str) -> GateConfig:
    """Returns the gate that an Evaluator's configuration was made from.

    Args:
        text: Result of `evaluation_config` as JSON. The gate keeps its defaults for figures that
            the model is not judged by.
    """
    config = json_format.Parse(text, config_pb2.EvalConfig())
    found: dict[str, Any] = {}
    for metrics in config.metrics_specs:
        for metric in metrics.metrics:
            for bound in metric.per_slice_thresholds:
                found["max_rmse"] = bound.threshold.value_threshold.upper_bound.value
                found["max_regression"] = bound.threshold.change_threshold.absolute.value
                found["slices"] = _slices(bound)
        by_name = metrics.per_slice_thresholds
        if ranking_metrics.NDCG in by_name:
            (gain,) = by_name[ranking_metrics.NDCG_GAIN].thresholds
            (change,) = by_name[ranking_metrics.NDCG].thresholds
            lower = gain.threshold.value_threshold.lower_bound.value
            found["min_gain_over_popularity"] = lower
            found["max_ranking_regression"] = -change.threshold.change_threshold.absolute.value
            found["slices"] = _slices(gain)
    return GateConfig(**found)


def _slices(threshold: config_pb2.PerSliceMetricThreshold) -> list[str]:
    return [
        f"{feature}={value}"
        for spec in threshold.slicing_specs
        for feature, value in spec.feature_values.items()
    ]


def _rating_metrics(gate: GateConfig) -> config_pb2.MetricsSpec:
    bound = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(upper_bound={"value": gate.max_rmse}),
        change_threshold=config_pb2.GenericChangeThreshold(
            absolute={"value": gate.max_regression},
            direction=config_pb2.MetricDirection.LOWER_IS_BETTER,
        ),
    )
    return config_pb2.MetricsSpec(
        metrics=[
            config_pb2.MetricConfig(
                class_name=rating_metrics.RatingMetric.__name__,
                module=rating_metrics.__name__,
                config=json.dumps({"name": name}),
                per_slice_thresholds=(
                    [_on_slices(gate, bound)] if name == rating_metrics.RMSE else []
                ),
            )
            for name in rating_metrics.NAMES
        ]
    )


def _interval_metrics() -> config_pb2.MetricsSpec:
    return config_pb2.MetricsSpec(
        metrics=[
            config_pb2.MetricConfig(
                class_name=interval_metrics.IntervalMetrics.__name__,
                module=interval_metrics.__name__,
            )
        ]
    )


def _ranking_metrics(gate: GateConfig, liked_rating: float) -> config_pb2.MetricsSpec:
    gain = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(
            lower_bound={"value": gate.min_gain_over_popularity}
        )
    )
    change = config_pb2.MetricThreshold(
        change_threshold=config_pb2.GenericChangeThreshold(
            absolute={"value": -gate.max_ranking_regression},
            direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
        )
    )
    return config_pb2.MetricsSpec(
        metrics=[
            config_pb2.MetricConfig(
                class_name=ranking_metrics.RankingMetrics.__name__,
                module=ranking_metrics.__name__,
                config=json.dumps({"liked_rating": liked_rating}),
            )
        ],
        per_slice_thresholds={
            **_for_each((ranking_metrics.NDCG_GAIN, ranking_metrics.RECALL_GAIN), gate, gain),
            **_for_each((ranking_metrics.NDCG, ranking_metrics.RECALL), gate, change),
        },
    )


def _for_each(
    names: Iterable[str], gate: GateConfig, threshold: config_pb2.MetricThreshold
) -> dict[str, config_pb2.PerSliceMetricThresholds]:
    thresholds = config_pb2.PerSliceMetricThresholds(thresholds=[_on_slices(gate, threshold)])
    return dict.fromkeys(names, thresholds)


def _on_slices(
    gate: GateConfig, threshold: config_pb2.MetricThreshold
) -> config_pb2.PerSliceMetricThreshold:
    """Returns the threshold for the whole holdout and for each slice that the gate names."""
    slices = [config_pb2.SlicingSpec()]
    for entry in gate.slices:
        feature, _, value = entry.partition("=")
        slices.append(config_pb2.SlicingSpec(feature_values={feature: value}))
    return config_pb2.PerSliceMetricThreshold(slicing_specs=slices, threshold=threshold)
