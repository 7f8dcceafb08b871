"""Metrics of TFMA on what an exported model's `transform_features` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types


def computations(
    figures: Sequence[str],
    outputs: Sequence[str],
    combiner: Callable[[str], beam.CombineFn],
    model_names: Sequence[str] | None,
    features: Sequence[str] = (),
) -> metric_types.MetricComputations:
    """Returns one computation for each evaluated model.

    Args:
        figures: Names of the figures that the combiner returns.
        outputs: Names of the model's outputs that it reads.
        combiner: Function of the model's name that returns the combiner.
        model_names: Names of the evaluated models; None for one without a name.
        features: Names of the features that the combiner reads.
    """
    return [
        computation(figures, outputs, combiner(name), [name] if name else [], features)
        for name in model_names or [""]
    ]


def computation(
    figures: Sequence[str],
    outputs: Sequence[str],
    combiner: beam.CombineFn,
    models: Sequence[str],
    features: Sequence[str],
) -> metric_types.MetricComputation:
    """Returns the computation of figures of one model, perhaps beside others.

    Args:
        figures: Names of the figures that the combiner returns.
        outputs: Names of the models' outputs that it reads.
        combiner: Combiner of the outputs.
        models: Names of the models whose outputs it reads, first the one that the figures are of;
            none for one model without a name.
        features: Names of the features that the combiner reads.
    """
    return metric_types.MetricComputation(
        keys=[figure_key(figure, models[0] if models else "") for figure in figures],
        preprocessors=[_inputs(outputs, features, models)],
        combiner=combiner,
    )


def figure_key(figure: str, model_name: str) -> metric_types.MetricKey:
    """Returns the key of a figure: a threshold finds it only under the one that TFMA makes."""
    return metric_types.MetricKey(figure, model_name=model_name, example_weighted=None)


def _inputs(
    outputs: Sequence[str], features: Sequence[str], models: Sequence[str]
) -> metric_types.Preprocessor:
    """Returns a preprocessor that keeps the outputs of models, and features."""
    read: dict[str, Any] = {output: {} for output in outputs}
    kept: dict[str, Any] = {
        constants.TRANSFORMED_FEATURES_KEY: dict.fromkeys(models, read) if models else read
    }
    if features:
        kept[constants.FEATURES_KEY] = {feature: {} for feature in features}
    return metric_types.StandardMetricInputsPreprocessor(
        include_filter=kept,
        model_names=list(models) or None,
        # TFMA merges preprocessors with the same name.
        name=f"{' '.join(outputs)} of {' '.join(models)}",
    )
