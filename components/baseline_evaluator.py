"""BaselineEvaluator: an Evaluator whose baseline may be empty."""

from __future__ import annotations

from tfx.components.evaluator import executor
from tfx.components.evaluator.component import Evaluator
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.types import standard_component_specs
from tfx.utils import path_utils

from components.step_types import Artifacts, Properties


class Executor(executor.Executor):
    """Evaluates against the baseline only if it contains a model."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step."""
        super().Do(without_empty_baseline(input_dict), output_dict, exec_properties)


class BaselineEvaluator(Evaluator):
    """TFX's Evaluator; a baseline artifact without an exported model counts as no baseline."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def without_empty_baseline(input_dict: Artifacts) -> Artifacts:
    """Returns the inputs with only those baselines that contain an exported model.

    A step in a cluster always gets all of its inputs; a step on this machine need not.
    """
    kept = dict(input_dict)
    kept[standard_component_specs.BASELINE_MODEL_KEY] = [
        model
        for model in input_dict.get(standard_component_specs.BASELINE_MODEL_KEY, [])
        if fileio.isdir(path_utils.serving_model_dir(model.uri))
    ]
    return kept
