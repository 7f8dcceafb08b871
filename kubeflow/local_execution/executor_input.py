"""What a cluster's launcher tells a task: the ExecutorInput message as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeflow.local_execution import artifacts, values
from kubeflow.local_execution.artifacts import Record
from kubeflow.local_execution.platforms import Platform
from kubeflow.local_execution.pod import Pod
from kubeflow.local_execution.values import Value


def build(
    pod: Pod,
    parameters: Mapping[str, Value],
    taken: Mapping[str, Record],
    planned: Mapping[str, Record],
    output_parameters: Mapping[str, Any],
    folder: str,
) -> dict[str, Any]:
    """Returns the message.

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
