"""What a task says about what it made: the ExecutorOutput message and the files of parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubeflow.local_execution import artifacts, values
from kubeflow.local_execution.artifacts import Record
from kubeflow.local_execution.section import Section
from kubeflow.local_execution.values import ParameterType, Value
from pipeline.errors import UserError


@dataclass(frozen=True)
class Outputs:
    """What a task made: records of artifacts, and values of parameters."""

    artifacts: Mapping[str, Record]
    parameters: Mapping[str, Value]


def make_room(executor_input: Mapping[str, Any]) -> None:
    """Makes the folders that a task's outputs go to, and removes an earlier attempt's message.

    TFX takes a message that is there before it starts for one of its driver.
    """
    outputs = executor_input["outputs"]
    places = [entry["artifacts"][0]["uri"] for entry in outputs["artifacts"].values()]
    places += [entry["outputFile"] for entry in outputs["parameters"].values()]
    for place in [*places, outputs["outputFile"]]:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(outputs["outputFile"]).unlink(missing_ok=True)


def read(executor_input: Mapping[str, Any], types: Mapping[str, ParameterType]) -> Outputs:
    """What the task made.

    Args:
        executor_input: what it was told.
        types: of the parameters it returns.

    Raises:
        UserError: what it left behind is not what the platforms take.
    """
    asked = executor_input["outputs"]
    message = _message(Path(asked["outputFile"]))
    reported = message.sections("artifacts")
    records = {}
    for key, entry in asked["artifacts"].items():
        (record,) = entry["artifacts"]
        found = reported[key].entries("artifacts") if key in reported else []
        records[key] = artifacts.with_report(record, found[0].content) if found else record
    said = {
        **{name: _legacy(value) for name, value in message.sections("parameters").items()},
        **message.section("parameterValues").content,
    }
    return Outputs(
        records,
        {
            name: values.of_type(said[name], types[name])
            if name in said
            else _written(name, Path(entry["outputFile"]), types[name])
            for name, entry in asked["parameters"].items()
        },
    )


def _message(path: Path) -> Section:
    """The message; a container that knows nothing of it leaves none."""
    if not path.exists():
        return Section("executor output", {})
    try:
        return Section("executor output", json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"its executor output is no JSON ({path})") from error


def _legacy(value: Section) -> Value:
    try:
        return values.from_legacy(value.content)
    except (TypeError, ValueError) as error:
        raise UserError(f"{value.where}: {error}") from error


def _written(name: str, path: Path, kind: ParameterType) -> Value:
    try:
        return values.parsed(path.read_text(encoding="utf-8"), kind)
    except FileNotFoundError as error:
        raise UserError(f"it did not return its parameter {name}") from error
    except ValueError as error:
        raise UserError(f"its parameter {name} is no {kind} ({path})") from error
