"""What a cluster's launcher tells a task: the ExecutorInput message as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kubeflow.local_execution import artifacts, values
from kubeflow.local_execution.artifacts import Record
from kubeflow.local_execution.job import Schema
from kubeflow.local_execution.values import Value

_OUTPUT_FILE: Final = "executor_output.json"
_PARAMETERS: Final = "parameters"


def build(
    schema: Schema,
    parameters: Mapping[str, Value],
    taken: Mapping[str, Record],
    planned: Mapping[str, Record],
    output_parameters: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """The message.

    Args:
        schema: of the specification; Vertex AI tells tasks of 2.0, Kubeflow Pipelines of 2.1.
        parameters: input parameters.
        taken: input artifacts.
        planned: output artifacts.
        output_parameters: their names; each has a file for its value.
        folder: of the task. TFX takes the name of the folder that holds the output file for the
            task's unique id, and keeps temporary files in it.
    """
    return {
        "inputs": {
            **_parameters(schema, parameters),
            "artifacts": {
                key: {"artifacts": [artifacts.as_input(schema, record)]}
                for key, record in taken.items()
            },
        },
        "outputs": {
            "artifacts": {
                key: {"artifacts": [artifacts.as_output(schema, record)]}
                for key, record in planned.items()
            },
            "parameters": {
                name: {"outputFile": str(folder / _PARAMETERS / name)} for name in output_parameters
            },
            "outputFile": str(folder / _OUTPUT_FILE),
        },
    }


def _parameters(schema: Schema, parameters: Mapping[str, Value]) -> dict[str, Any]:
    if schema is Schema.V2_0:
        return {"parameters": {name: values.to_legacy(v) for name, v in parameters.items()}}
    return {"parameterValues": {name: values.doubles(v) for name, v in parameters.items()}}
