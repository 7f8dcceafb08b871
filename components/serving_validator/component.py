"""The ServingValidator component."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.serving_validator import executor


class ServingValidatorSpec(ComponentSpec):
    """A trained model and ratings in, a blessing out."""

    PARAMETERS: ClassVar = {
        executor.MODEL_NAME_KEY: ExecutionParameter(type=str),
        executor.STARTUP_SECONDS_KEY: ExecutionParameter(type=float),
        executor.MAX_DIFFERENCE_KEY: ExecutionParameter(type=float),
        executor.BINARY_KEY: ExecutionParameter(type=str, optional=True),
        "code_fingerprint": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        standard_component_specs.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
        standard_component_specs.MODEL_RUN_KEY: ChannelParameter(type=standard_artifacts.ModelRun),
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS: ClassVar = {
        standard_component_specs.BLESSING_KEY: ChannelParameter(
            type=standard_artifacts.InfraBlessing
        )
    }


class ServingValidator(base_component.BaseComponent):
    """Blesses a model whose every signature answers gRPC requests as the Trainer would.

    TFX's InfraValidator, whose blessing this is, needs Docker or Kubernetes, does not look at the
    answers, and does not run on Kubeflow Pipelines v2.
    """

    SPEC_CLASS = ServingValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_run: types.BaseChannel,
        examples: types.BaseChannel,
        model_name: str,
        startup_seconds: float,
        max_difference: float,
        code_fingerprint: str,
        binary: str | None = None,
    ) -> None:
        """Constructs the component.

        Args:
            model: what the Trainer exported.
            model_run: what the Trainer wrote beside it, the predictions to compare with.
            examples: raw ratings, with the split holdout.
            model_name: the model's name for a server.
            startup_seconds: that a server has to load the model.
            max_difference: between an answer and the Trainer's prediction.
            code_fingerprint: changes when this component's code, or the server's, does.
            binary: the file of TensorFlow Serving; None looks on PATH, and takes our own server
                where there is none.
        """
        super().__init__(
            ServingValidatorSpec(
                model=model,
                model_run=model_run,
                examples=examples,
                model_name=model_name,
                startup_seconds=startup_seconds,
                max_difference=max_difference,
                binary=binary,
                code_fingerprint=code_fingerprint,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
