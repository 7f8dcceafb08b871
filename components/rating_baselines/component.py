"""The RatingBaselines component."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental import simple_artifacts

from components.rating_baselines import executor


class RatingBaselinesSpec(ComponentSpec):
    """Transformed examples in, a folder with `baselines.json` out.

    Of a type of TFX's own: its compiler for clusters takes no other of a package within a package.
    """

    PARAMETERS: ClassVar = {"code_fingerprint": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples)
    }
    OUTPUTS: ClassVar = {executor.BASELINES_KEY: ChannelParameter(type=simple_artifacts.Metrics)}


class RatingBaselines(base_component.BaseComponent):
    """Measures the global mean and the bias-only prediction on the holdout split."""

    SPEC_CLASS = RatingBaselinesSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, examples: types.BaseChannel, code_fingerprint: str) -> None:
        """Constructs the component.

        Args:
            examples: what Transform writes, with the splits train, eval and holdout.
            code_fingerprint: changes when this component's code does.
        """
        super().__init__(
            RatingBaselinesSpec(
                examples=examples,
                code_fingerprint=code_fingerprint,
                baselines=types.Channel(type=simple_artifacts.Metrics),
            )
        )
