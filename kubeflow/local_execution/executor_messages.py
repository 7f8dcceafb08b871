"""The messages between a launcher and a task, ExecutorInput and ExecutorOutput, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubeflow.local_execution import artifacts, values
from kubeflow.local_execution.artifacts import Record
from kubeflow.local_execution.job import OutputParameter
from kubeflow.local_execution.platforms import Platform
from kubeflow.local_execution.pod import Pod
from kubeflow.local_execution.section import Section
from kubeflow.local_execution.values import ParameterType, Value
from pipeline.config.errors import UserError

# Fields of the messages ExecutorOutput, ArtifactList and RuntimeArtifact in JSON.
OUTPUT_FIELDS: Final = frozenset({"artifacts", "parameters", "parameterValues"})
LIST_FIELDS: Final = frozenset({"artifacts"})
ARTIFACT_FIELDS: Final = frozenset(
    {"name", "type", "uri", "properties", "customProperties", "metadata", "customPath"}
)


@dataclass(frozen=True)
class Outputs:
    """What a task made: records of artifacts, and values of parameters."""

    artifacts: Mapping[str, Record]
    parameters: Mapping[str, Value]


def executor_input(
    pod: Pod,
    parameters: Mapping[str, Value],
    taken: Mapping[str, Record],
    planned: Mapping[str, Record],
    output_parameters: Mapping[str, Any],
    folder: str,
) -> dict[str, Any]:
    """Returns what a launcher tells a task.

    Args:
        pod: where the task runs.
        parameters: input parameters.
        taken: input artifacts.
        planned: output artifacts.
        output_parameters: their names; each has a file for its value.
        folder: address of the folder of the task's outputs.
    """
    platform = pod.platform
    message = {
        "inputs": {
            **_parameters(platform, parameters),
            "artifacts": {
                key: {"artifacts": [artifacts.as_input(platform, record)]}
                for key, record in taken.items()
            },
        },
        "outputs": {
            "artifacts": {
                key: {"artifacts": [artifacts.as_output(platform, key, record)]}
                for key, record in planned.items()
            },
            "parameters": {
                name: {"outputFile": pod.parameter_file(folder, name)} for name in output_parameters
            },
            "outputFile": pod.output_file(folder),
        },
    }
    return message if platform.writes_empty else _without_empty_maps(message)


def _without_empty_maps(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        side: {name: entries for name, entries in parts.items() if entries != {}}
        for side, parts in message.items()
    }


def _parameters(platform: Platform, parameters: Mapping[str, Value]) -> dict[str, Any]:
    if platform.doubles:
        return {"parameterValues": {name: values.doubles(v) for name, v in parameters.items()}}
    return {"parameters": {name: values.to_legacy(v) for name, v in parameters.items()}}


def places(told: Mapping[str, Any]) -> list[str]:
    """Returns where a task's outputs go, its ExecutorOutput last."""
    made = told["outputs"]
    return [
        *(entry["artifacts"][0]["uri"] for entry in made.get("artifacts", {}).values()),
        *(entry["outputFile"] for entry in made.get("parameters", {}).values()),
        made["outputFile"],
    ]


def outputs(
    pod: Pod,
    told: Mapping[str, Any],
    planned: Mapping[str, Record],
    parameters: Mapping[str, OutputParameter],
    run_folder: str,
) -> Outputs:
    """Returns what the task made.

    Args:
        pod: where it ran.
        told: ExecutorInput of the task.
        planned: its artifacts.
        parameters: Output parameters. The file of a parameter has its value where the
            ExecutorOutput lacks it in the declared form.
        run_folder: address of the folder for what the run makes.

    Raises:
        UserError: what it left behind is not what the platforms take.
    """
    asked = told["outputs"]
    message = _message(pod.found(asked["outputFile"]))
    reported = message.sections("artifacts")
    if pod.platform.copies:
        _check_fields(message, reported)
    records = {}
    for key, record in planned.items():
        found = reported[key].entries("artifacts") if key in reported else []
        said = found[0].content if found else {}
        records[key] = artifacts.with_report(pod.platform, key, record, said, run_folder)
    return Outputs(
        records,
        {
            name: _parameter(
                message, name, declared, pod.found(asked["parameters"][name]["outputFile"])
            )
            for name, declared in parameters.items()
        },
    )


def _parameter(message: Section, name: str, declared: OutputParameter, file: Path) -> Value:
    said = message.section("parameters" if declared.legacy else "parameterValues")
    if not said.has(name):
        return _written(name, file, declared.kind)
    value = _legacy(said.section(name)) if declared.legacy else said.content[name]
    return values.of_type(value, declared.kind)


def _message(path: Path) -> Section:
    """Returns the message; a container that knows nothing of it leaves none."""
    if not path.exists():
        return Section("executor output", {})
    try:
        return Section("executor output", json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"its executor output is no JSON ({path})") from error


def _check_fields(message: Section, reported: Mapping[str, Section]) -> None:
    """Checks that a launcher of Kubeflow Pipelines, whose parser is strict, knows every field.

    Raises:
        UserError: There is another field.
    """
    artifacts = [entry for listed in reported.values() for entry in listed.entries("artifacts")]
    for fields, sections in (
        (OUTPUT_FIELDS, [message]),
        (LIST_FIELDS, reported.values()),
        (ARTIFACT_FIELDS, artifacts),
    ):
        for section in sections:
            unknown = sorted(section.content.keys() - fields)
            if unknown:
                raise UserError(
                    f"{section.where}: has {unknown[0]}; expected none but "
                    f"{', '.join(sorted(fields))}"
                )


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
