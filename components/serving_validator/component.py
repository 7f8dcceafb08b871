"""The ServingValidator component."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.serving_validator import executor


class ServingValidatorSpec(ComponentSpec):
    """Takes a trained model and ratings; writes a blessing."""

    PARAMETERS: ClassVar = {
        executor.MODEL_NAME_KEY: ExecutionParameter(type=str),
        executor.STARTUP_SECONDS_KEY: ExecutionParameter(type=float),
        executor.MAX_DIFFERENCE_KEY: ExecutionParameter(type=float),
        executor.BINARY_KEY: ExecutionParameter(type=str, optional=True),
        # TFX's compiler for Kubeflow Pipelines declares a bool as an integer.
        executor.CHECK_OPS_KEY: ExecutionParameter(type=int),
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

    The blessing has the type and the form of TFX's InfraValidator. That one needs Docker or
    Kubernetes, does not look at the answers, and does not run on Kubeflow Pipelines v2.
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
        check_ops: bool,
        code_fingerprint: str,
        binary: str | None = None,
    ) -> None:
        """Constructs the component.

        Args:
            model: The Trainer's exported model.
            model_run: The Trainer's model run, with the predictions to compare with.
            examples: Raw ratings with the split holdout.
            model_name: Name under which a server serves the model.
            startup_seconds: Time in seconds that a server may take to load the model.
            max_difference: Largest allowed difference between an answer and the Trainer's
                prediction.
            check_ops: Whether to refuse a model with ops that may read or write files or call
                Python; see `serving.allowed_ops`.
            code_fingerprint: Digest of this component's code and the server's; a change makes the
                step run again.
            binary: Path of `tensorflow_model_server`; None takes the one on the PATH or, if there
                is none, the embedded server.
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
                check_ops=int(check_ops),
                code_fingerprint=code_fingerprint,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
