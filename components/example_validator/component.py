"""The StrictExampleValidator component."""

from tfx.components.example_validator.component import ExampleValidator
from tfx.dsl.components.base import executor_spec

from components.example_validator import executor


class StrictExampleValidator(ExampleValidator):
    """TFX's ExampleValidator, but an anomaly fails the step; TFX by itself goes on."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
