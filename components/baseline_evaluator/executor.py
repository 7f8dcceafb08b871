"""The work of BaselineEvaluator."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.evaluator import executor
from tfx.dsl.io import fileio
from tfx.types import standard_component_specs
from tfx.utils import path_utils


class Executor(executor.Executor):
    """Evaluates against the baseline only if there is a model in it."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step."""
        super().Do(without_empty_baseline(input_dict), output_dict, exec_properties)


def without_empty_baseline(
    input_dict: dict[str, list[types.Artifact]],
) -> dict[str, list[types.Artifact]]:
    """The inputs, with a baseline only if there is an exported model in it.

    An input of a cluster's step cannot be missing, as it can on this machine.
    """
    kept = dict(input_dict)
    kept[standard_component_specs.BASELINE_MODEL_KEY] = [
        model
        for model in input_dict.get(standard_component_specs.BASELINE_MODEL_KEY, [])
        if fileio.isdir(path_utils.serving_model_dir(model.uri))
    ]
    return kept
