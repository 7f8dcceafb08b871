"""The parameters of a compiled pipeline, which can change from run to run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

PIPELINE_ROOT: Final = "pipeline_root"
DATA: Final = "data"
PUSH: Final = "push"
GOLDEN_SET: Final = "golden_set"
EPOCHS: Final = "epochs"
MAX_RMSE: Final = "max_rmse"
ACCEPT_DRIFT: Final = "accept_drift"

_PREFIX: Final = "pipelinechannel--"
_PLACEHOLDER: Final = re.compile(r"\{\{\$\.inputs\.parameters\['(?P<input>[^']+)'\]\}\}")


@dataclass(frozen=True)
class Parameter:
    """A parameter of the pipeline.

    Attributes:
        name: Name of the parameter.
        value: Default value.
    """

    name: str
    value: str | int | float

    @property
    def legacy_type(self) -> str:
        """The name of the type in schema 2.0."""
        return {str: "STRING", int: "INT", float: "DOUBLE"}[type(self.value)]

    @property
    def type(self) -> str:
        """The name of the type in schema 2.1."""
        return {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE"}[type(self.value)]

    @property
    def legacy_value(self) -> dict[str, Any]:
        """The value in schema 2.0, where whole numbers are texts as in protobuf's JSON."""
        if isinstance(self.value, int):
            return {"intValue": str(self.value)}
        return {"stringValue" if isinstance(self.value, str) else "doubleValue": self.value}


def step_input(name: str) -> str:
    """Returns the name of the step input that passes a parameter for use inside constants."""
    return _PREFIX + name


def is_step_input(name: str) -> bool:
    """Returns whether a step input only serves the constants of the same step."""
    return name.startswith(_PREFIX)


def parameter_name(step_input_name: str) -> str:
    """Returns the name of the parameter that a step input passes."""
    return step_input_name.removeprefix(_PREFIX)


def placeholder(name: str) -> str:
    """Returns the text that stands for a parameter's value inside a step's constants."""
    return f"{{{{$.inputs.parameters['{step_input(name)}']}}}}"


def used_inputs(constant: str) -> list[str]:
    """Returns the step inputs for which a constant has placeholders."""
    return sorted({found["input"] for found in _PLACEHOLDER.finditer(constant)})


def filled_in(constant: str, inputs: dict[str, str]) -> str:
    """Returns a constant with the values of step inputs in the place of their placeholders.

    Args:
        constant: Text with placeholders.
        inputs: Values of step inputs by name.

    Raises:
        KeyError: There is a placeholder for another input.
    """
    return _PLACEHOLDER.sub(lambda found: inputs[found["input"]], constant)
