"""The Evaluator's figures and its verdict, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow_model_analysis as tfma

from pipeline import ranking_metrics
from pipeline.config.tree import GateConfig
from pipeline.rating_metrics import RMSE

# The key of the configuration that bounds each figure.
_BOUND_KEYS = {
    RMSE: "gate.max_rmse",
    ranking_metrics.NDCG_GAIN: "gate.min_gain_over_popularity",
    ranking_metrics.RECALL_GAIN: "gate.min_gain_over_popularity",
}
_CHANGE_KEYS = {
    RMSE: "gate.max_regression",
    ranking_metrics.NDCG: "gate.max_ranking_regression",
    ranking_metrics.RECALL: "gate.max_ranking_regression",
}
_LABELS = {
    RMSE: "RMSE",
    ranking_metrics.NDCG: "NDCG@10",
    ranking_metrics.RECALL: "Recall@10",
    ranking_metrics.NDCG_GAIN: "NDCG@10 less popularity's",
    ranking_metrics.RECALL_GAIN: "Recall@10 less popularity's",
}


@dataclass(frozen=True)
class GateReport:
    """Figures on the whole holdout, and the reasons why the Evaluator blessed the model or not.

    Attributes:
        candidate: Figures of the model by name; only those that the gate looks at.
        baseline: Figures of the last blessed model on the same holdout; empty without one.
        merits: Reasons for a model that the Evaluator blessed.
        failures: Reasons against one that it did not bless.
        slices: RMSE of the candidate by slice, `feature=value`. NDCG@10 for a model that predicts
            no ratings, without the slices in which nothing is liked.
        slice_errors: Standard error of NDCG@10 of these slices, without those in which one user
            likes something; empty for a model that predicts ratings.
    """

    candidate: dict[str, float]
    baseline: dict[str, float]
    merits: list[str]
    failures: list[str]
    slices: dict[str, float]
    slice_errors: dict[str, float]


def read_gate_report(evaluation_folder: str, gate: GateConfig) -> GateReport:
    """Returns the report on the Evaluator's output.

    Args:
        evaluation_folder: Folder of the Evaluator's `evaluation` artifact.
        gate: Thresholds that the verdict refers to.
    """
    figures: dict[bool, dict[str, float]] = {False: {}, True: {}}
    by_slice: dict[str, dict[str, float]] = {}
    for metrics in tfma.load_metrics(evaluation_folder):
        name = _slice_name(metrics.slice_key)
        for entry in metrics.metric_keys_and_values:
            key, value = entry.key, entry.value.double_value.value
            if key.is_diff:
                continue
            is_baseline = key.model_name == tfma.BASELINE_KEY
            if not name:
                figures[is_baseline][key.name] = value
            elif not is_baseline:
                by_slice.setdefault(name, {})[key.name] = value
    candidate, baseline = figures[False], figures[True]
    failures = _failures(tfma.load_validation_result(evaluation_folder))
    shown = RMSE if RMSE in candidate else ranking_metrics.NDCG
    return GateReport(
        candidate=candidate,
        baseline=baseline,
        merits=[] if failures else list(_merits(candidate, baseline, gate)),
        failures=failures,
        slices=_known(by_slice, shown),
        slice_errors={} if shown == RMSE else _known(by_slice, ranking_metrics.NDCG_ERROR),
    )


def _known(by_slice: dict[str, dict[str, float]], figure: str) -> dict[str, float]:
    """Returns a figure by slice, in their order, without the slices that have none."""
    return {
        name: values[figure]
        for name, values in sorted(by_slice.items())
        if not math.isnan(values.get(figure, math.nan))
    }


def _slice_name(key: tfma.proto.metrics_for_slice_pb2.SliceKey) -> str:
    """Returns the slice in the form `feature=value`; empty for the whole holdout."""
    return ",".join(
        f"{single.column}={single.bytes_value.decode()}" for single in key.single_slice_keys
    )


def _failures(validation: tfma.proto.validation_result_pb2.ValidationResult) -> list[str]:
    if validation.validation_ok:
        return []
    failures = [
        _failure(_slice_name(per_slice.slice_key), failure)
        for per_slice in validation.metric_validations_per_slice
        for failure in per_slice.failures
    ]
    failures += [
        f"no rating in the slice {_spec_name(missing)}" for missing in validation.missing_slices
    ]
    return failures or ["the evaluation gave no figure to judge"]


def _merits(
    candidate: dict[str, float], baseline: dict[str, float], gate: GateConfig
) -> Iterator[str]:
    """Yields the reasons for a model that was blessed."""
    if RMSE in candidate:
        yield f"RMSE {candidate[RMSE]:.4f} is within {gate.max_rmse:g}"
    for name, popularity in (
        (ranking_metrics.NDCG, ranking_metrics.POPULARITY_NDCG),
        (ranking_metrics.RECALL, ranking_metrics.POPULARITY_RECALL),
    ):
        if name in candidate:
            yield f"{_LABELS[name]} {candidate[name]:.4f}, popularity's {candidate[popularity]:.4f}"
    for name, key, sign in (
        (RMSE, gate.max_regression, "+"),
        (ranking_metrics.NDCG, gate.max_ranking_regression, "-"),
    ):
        if name in baseline:
            yield (
                f"{candidate[name] - baseline[name]:+.4f} against the last blessed model's "
                f"{_LABELS[name]} {baseline[name]:.4f} (allowed {sign}{key:g})"
            )


def _failure(slice_name: str, failure: tfma.proto.validation_result_pb2.ValidationFailure) -> str:
    where = f" on {slice_name}" if slice_name else ""
    name = failure.metric_key.name
    value = failure.metric_value.double_value.value
    threshold = failure.metric_threshold
    if failure.metric_key.is_diff:
        allowed = threshold.change_threshold.absolute.value
        return (
            f"{_LABELS[name]}{where} is {value:+.6f} against the last blessed model's "
            f"({_CHANGE_KEYS[name]} allows {allowed:+g})"
        )
    bounds = threshold.value_threshold
    side, bound = ("above", bounds.upper_bound) if name == RMSE else ("below", bounds.lower_bound)
    return f"{_LABELS[name]} {value:.4f}{where} is {side} {_BOUND_KEYS[name]} {bound.value:g}"


def _spec_name(spec: tfma.SlicingSpec) -> str:
    return ",".join(f"{name}={value}" for name, value in spec.feature_values.items())
