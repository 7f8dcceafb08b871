"""Fills in the placeholders of constants and commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubeflow.local_execution import values
from kubeflow.local_execution.values import Value
from kubeflow.parameters import filled_in
from pipeline.config.errors import UserError

_MESSAGE: Final = "{{$}}"
_ANY: Final = re.compile(r"\{\{\$(?P<path>.*?)\}\}")
_ESCAPED: Final = re.compile(r"\.json_escape\[(?P<times>\d+)\]")
_PLACE: Final = re.compile(
    r"\.(?P<side>inputs|outputs)\.(?P<kind>parameters|artifacts)\['(?P<name>[^']+)'\]"
    r"(?:\.(?P<field>\w+)(?:\['(?P<key>[^']+)'\])?)?"
)


def in_constant(constant: Value, inputs: Mapping[str, Value]) -> Value:
    """Returns a constant with the values of its task's inputs in place of their placeholders.

    Args:
        constant: Constant of schema 2.0, where only texts hold placeholders.
        inputs: Input parameters of the task.

    Raises:
        UserError: there is a placeholder for an input that is not given.
    """
    if not isinstance(constant, str):
        return constant
    try:
        return filled_in(constant, {name: values.text(value) for name, value in inputs.items()})
    except KeyError as error:
        raise UserError(f"a placeholder for {error.args[0]}: no such input") from error


@dataclass(frozen=True)
class Context:
    """What the placeholders of a command stand for.

    Attributes:
        executor_input: the message of the task.
        parameters: its input parameters.
        names: Values of placeholders without a path, such as `pipeline_job_name`.
        path: makes a path of an artifact's address.
        fills_constants: whether placeholders inside the message are filled in, too.
    """

    executor_input: Mapping[str, Any]
    parameters: Mapping[str, Value]
    names: Mapping[str, str]
    path: Callable[[str], str]
    fills_constants: bool

    def fill(self, argument: str) -> str:
        """Returns an argument with everything filled in.

        Raises:
            UserError: a placeholder is not known, or for something that the task does not have.
        """
        if self.fills_constants:
            argument = argument.replace(_MESSAGE, values.text(dict(self.executor_input)))
        return _ANY.sub(self._found, argument)

    def _found(self, found: re.Match[str]) -> str:
        path, times = found["path"], 0
        escaped = _ESCAPED.search(path)
        if escaped:
            path, times = path.replace(escaped[0], "", 1), int(escaped["times"])
        try:
            text = values.decimal_text(self._value(path))
        except LookupError as error:
            raise UserError(f"{found[0]}: no such placeholder") from error
        for _ in range(times):
            # As inside a JSON text, whose quotes are there already.
            text = json.dumps(text)[1:-1]
        return text

    def _value(self, path: str) -> Value:
        if not path:
            return dict(self.executor_input)
        if path.removeprefix(".") in self.names:
            return self.names[path.removeprefix(".")]
        place = _PLACE.fullmatch(path)
        if not place:
            raise LookupError(path)
        name, field = place["name"], place["field"]
        if place["kind"] == "parameters":
            return self._parameter(place["side"], name, field)
        (record,) = self.executor_input[place["side"]]["artifacts"][name]["artifacts"]
        if field == "path":
            return self.path(record["uri"])
        value = record[field or "uri"]
        return value[place["key"]] if place["key"] else value

    def _parameter(self, side: str, name: str, field: str | None) -> Value:
        if side == "inputs" and field is None:
            return self.parameters[name]
        if side == "outputs" and field in {"output_file", "outputFile"}:
            return self.executor_input["outputs"]["parameters"][name]["outputFile"]
        raise LookupError(name)
