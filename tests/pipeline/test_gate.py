"""The thresholds of the gate, as TFMA itself holds figures against them."""

from __future__ import annotations

import pytest
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_types

from models.options import ModelOptions
from pipeline.config.tree import GateConfig
from pipeline.gate import evaluation_config, read_gate

# A figure and whether it is the change from the baseline's; just good enough, and just too low,
# with the gate of `failures`.
BOUNDS = {
    ("ndcg_at_10_gain", False): (0.031, 0.029),
    ("recall_at_10_gain", False): (0.031, 0.029),
    ("ndcg_at_10", True): (-0.019, -0.021),
    ("recall_at_10", True): (-0.019, -0.021),
}


def failures(figures: dict[tuple[str, bool], float]) -> list[tuple[str, bool]]:
    """Returns the metrics of a retrieval model that TFMA rejects, on the whole holdout."""
    gate = GateConfig(min_gain_over_popularity=0.03, max_ranking_regression=0.02)
    # As TFX's Evaluator does it where there is a model to compare with.
    config = tfma.utils.update_eval_config_with_defaults(
        evaluation_config(gate, ModelOptions(name="two_tower")), has_baseline=True
    )
    metrics = {
        metric_types.MetricKey(
            name, model_name=tfma.CANDIDATE_KEY, is_diff=is_diff, example_weighted=None
        ): value
        for (name, is_diff), value in figures.items()
    }
    result = metrics_validator.validate_metrics(((), metrics), config)
    found = [
        (failure.metric_key.name, failure.metric_key.is_diff)
        for validated in result.metric_validations_per_slice
        for failure in validated.failures
    ]
    assert result.validation_ok == (not found)
    return found


def test_a_retrieval_model_that_is_good_enough_passes() -> None:
    assert failures({figure: enough for figure, (enough, _) in BOUNDS.items()}) == []


@pytest.mark.parametrize("low", BOUNDS)
def test_one_figure_that_is_too_low_is_all_that_is_found(low: tuple[str, bool]) -> None:
    figures = {figure: enough for figure, (enough, _) in BOUNDS.items()}
    assert failures({**figures, low: BOUNDS[low][1]}) == [low]


@pytest.mark.parametrize(
    ("model", "figures"),
    [
        ("biased_mf", {"max_rmse": 0.9, "max_regression": 0.01}),
        ("two_tower", {"min_gain_over_popularity": 0.03, "max_ranking_regression": 0.02}),
    ],
)
def test_a_gate_is_read_again_from_the_configuration(model: str, figures: dict[str, float]) -> None:
    gate = GateConfig(slices=("user_activity=high",), **figures)
    text = json_format.MessageToJson(evaluation_config(gate, ModelOptions(name=model)))
    assert read_gate(text) == gate
