"""What the Evaluator found, in words."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow_model_analysis as tfma

from pipeline.config import GateConfig
from pipeline.evaluation_config import CALIBRATION, MAE, RMSE


@dataclass(frozen=True)
class GateReport:
    """Figures of the whole holdout, and why the model was blessed or not.

    Attributes:
        rmse: of the candidate, in stars.
        mae: of the candidate.
        calibration: mean prediction over mean rating, of the candidate.
        baseline_rmse: of the last blessed model on the same holdout; None where there is none.
        reason: one line.
        slices: RMSE of the candidate by slice, as `feature=value`.
    """

    rmse: float
    mae: float
    calibration: float
    baseline_rmse: float | None
    reason: str
    slices: dict[str, float]


def read_gate_report(evaluation_folder: str, gate: GateConfig) -> GateReport:
    """Reads the Evaluator's output."""
    overall: dict[tuple[str, bool], float] = {}
    slices: dict[str, float] = {}
    for metrics in tfma.load_metrics(evaluation_folder):
        name = _slice_name(metrics.slice_key)
        for entry in metrics.metric_keys_and_values:
            key, value = entry.key, entry.value.double_value.value
            if key.is_diff:
                continue
            is_baseline = key.model_name == tfma.BASELINE_KEY
            if not name:
                overall[key.name, is_baseline] = value
            elif key.name == RMSE and not is_baseline:
                slices[name] = value
    return GateReport(
        rmse=overall[RMSE, False],
        mae=overall[MAE, False],
        calibration=overall[CALIBRATION, False],
        baseline_rmse=overall.get((RMSE, True)),
        reason=_reason(
            tfma.load_validation_result(evaluation_folder),
            overall[RMSE, False],
            overall.get((RMSE, True)),
            gate,
        ),
        slices=dict(sorted(slices.items())),
    )


def _slice_name(key: tfma.proto.metrics_for_slice_pb2.SliceKey) -> str:
    """`feature=value`; empty for the whole holdout."""
    return ",".join(
        f"{single.column}={single.bytes_value.decode()}" for single in key.single_slice_keys
    )


def _reason(
    validation: tfma.proto.validation_result_pb2.ValidationResult,
    rmse: float,
    baseline_rmse: float | None,
    gate: GateConfig,
) -> str:
    if validation.validation_ok:
        compared = (
            "no blessed model to compare with"
            if baseline_rmse is None
            else f"{rmse - baseline_rmse:+.4f} against the last blessed model's "
            f"{baseline_rmse:.4f} (allowed {gate.max_regression:+g})"
        )
        return f"RMSE {rmse:.4f} is within {gate.max_rmse:g}; {compared}"
    failures = [
        _failure(_slice_name(per_slice.slice_key), failure)
        for per_slice in validation.metric_validations_per_slice
        for failure in per_slice.failures
    ]
    failures += [
        f"no rating in the slice {_spec_name(missing)}" for missing in validation.missing_slices
    ]
    return "; ".join(failures) or "the evaluation gave no figure to judge"


def _failure(slice_name: str, failure: tfma.proto.validation_result_pb2.ValidationFailure) -> str:
    where = f" on {slice_name}" if slice_name else ""
    value = failure.metric_value.double_value.value
    if failure.metric_key.is_diff:
        allowed = failure.metric_threshold.change_threshold.absolute.value
        return (
            f"RMSE{where} is {value:+.6f} against the last blessed model's "
            f"(gate.max_regression allows {allowed:+g})"
        )
    bound = failure.metric_threshold.value_threshold.upper_bound.value
    return f"RMSE {value:.4f}{where} is above gate.max_rmse {bound:g}"


def _spec_name(spec: tfma.SlicingSpec) -> str:
    return ",".join(f"{name}={value}" for name, value in spec.feature_values.items())
