"""What can be changed from run to run without compiling again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

PIPELINE_ROOT: Final = "pipeline_root"
DATA: Final = "data"
PUSH: Final = "push"
EPOCHS: Final = "epochs"
MAX_RMSE: Final = "max_rmse"

_PREFIX: Final = "pipelinechannel--"
_PLACEHOLDER: Final = re.compile(r"\{\{\$\.inputs\.parameters\['(?P<input>[^']+)'\]\}\}")


@dataclass(frozen=True)
class Parameter:
    """An input of the pipeline.

    Attributes:
        name: of the input.
        value: what it is unless a run is given another.
    """

    name: str
    value: str | int | float

    @property
    def legacy_type(self) -> str:
        """Its type in schema 2.0."""
        return {str: "STRING", int: "INT", float: "DOUBLE"}[type(self.value)]

    @property
    def type(self) -> str:
        """Its type in schema 2.1."""
        return {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE"}[type(self.value)]

    @property
    def legacy_value(self) -> dict[str, Any]:
        """Its value in schema 2.0, with whole numbers as JSON has those of 64 bits."""
        if isinstance(self.value, int):
            return {"intValue": str(self.value)}
        return {"stringValue" if isinstance(self.value, str) else "doubleValue": self.value}


def step_input(name: str) -> str:
    """The input of a step that brings it a parameter for use inside a constant."""
    return _PREFIX + name


def is_step_input(name: str) -> bool:
    """Whether an input is there for the constants beside it alone."""
    return name.startswith(_PREFIX)


def placeholder(name: str) -> str:
    """What stands for the parameter's value inside a step's constants."""
    return f"{{{{$.inputs.parameters['{step_input(name)}']}}}}"


def used_inputs(constant: str) -> list[str]:
    """The inputs that a constant has placeholders for."""
    return sorted({found["input"] for found in _PLACEHOLDER.finditer(constant)})


def filled_in(constant: str, inputs: dict[str, str]) -> str:
    """The constant with the values of inputs in place of their placeholders.

    Raises:
        KeyError: there is a placeholder for an input that is not given.
    """
    return _PLACEHOLDER.sub(lambda found: inputs[found["input"]], constant)
