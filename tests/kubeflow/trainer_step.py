"""What Kubeflow Pipelines hands to a step of a compiled pipeline: the Trainer's or another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubeflow.compiling.compiler import CompiledPipeline
from kubeflow.parameters import is_step_input

TRAINER = "trainer"
LOGS = {"schemaTitle": "system.Artifact"}


def container(pipeline: CompiledPipeline, task: str = TRAINER) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.spec["deploymentSpec"]["executors"][f"exec-{task}"]
    return found["container"]


def executor_input(
    pipeline: CompiledPipeline,
    given: dict[str, tuple[str, dict[str, Any]]],
    root: str,
    output: Path,
    task: str = TRAINER,
) -> dict[str, Any]:
    """The ExecutorInput as JSON.

    Args:
        pipeline: compiled.
        given: URI and metadata of each input artifact.
        root: the folder of the output artifacts.
        output: the file for what the platform is told of them.
        task: the step's.
    """
    component = pipeline.spec["components"][f"comp-{task}"]
    outputs = component["outputDefinitions"]
    values = {}
    sources = pipeline.spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"]
    for name, source in sources.items():
        if is_step_input(name):
            wanted = source["componentInputParameter"]
            (values[name],) = [p.value for p in pipeline.parameters if p.name == wanted]
        else:
            values[name] = source["runtimeValue"]["constant"]
    return {
        "inputs": {
            "parameterValues": values,
            # The driver knows them by their numbers, and no type.
            "artifacts": {
                name: _artifact(
                    {"name": str(number), "type": {"instanceSchema": ""}}, uri, metadata
                )
                for number, (name, (uri, metadata)) in enumerate(given.items(), start=17)
            },
        },
        "outputs": {
            "artifacts": {
                name: _artifact(
                    {"type": definition["artifactType"]},
                    f"{root}/{name}",
                    definition.get("metadata", {}),
                )
                for name, definition in outputs["artifacts"].items()
            }
            # Which the driver adds since 2.5.0.
            | {"executor-logs": _artifact({"type": LOGS}, f"{root}/executor-logs", {})},
            "outputFile": str(output),
        },
    }


def arguments(pipeline: CompiledPipeline, given: dict[str, Any], task: str = TRAINER) -> list[str]:
    """Those of the container, the ExecutorInput in its place."""
    return [text.replace("{{$}}", json.dumps(given)) for text in container(pipeline, task)["args"]]


def _artifact(known: dict[str, Any], uri: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"artifacts": [{**known, "uri": uri, "metadata": metadata}]}
