"""The PushedBaseline component."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.pushed_baseline import executor


class PushedBaselineSpec(ComponentSpec):
    """A folder of versions in, a model out."""

    PARAMETERS: ClassVar = {
        executor.PUSHED_KEY: ExecutionParameter(type=str),
        executor.COMPARISON_GROUP_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar = {executor.BASELINE_KEY: ChannelParameter(type=standard_artifacts.Model)}


class PushedBaseline(base_component.BaseComponent):
    """The newest pushed model that can be compared with the candidate, or an empty one.

    Every pushed model was blessed, so the folder of its versions is all the memory that a
    cluster needs: TFX's resolvers ask a metadata store that Kubeflow does not have.
    """

    SPEC_CLASS = PushedBaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, pushed: str, comparison_group: str) -> None:
        """Constructs the component.

        Args:
            pushed: the folder that the Pusher pushes to.
            comparison_group: the candidate's; no other model has spared its holdout.
        """
        super().__init__(
            PushedBaselineSpec(
                pushed=pushed,
                comparison_group=comparison_group,
                baseline_model=types.Channel(type=standard_artifacts.Model),
            )
        )
