"""What Kubeflow Pipelines hands to the Trainer's step of a compiled pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubeflow.compiler import CompiledPipeline
from kubeflow.parameters import is_step_input

TRAINER = "trainer"


def container(pipeline: CompiledPipeline) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.spec["deploymentSpec"]["executors"][f"exec-{TRAINER}"]
    return found["container"]


def executor_input(
    pipeline: CompiledPipeline,
    given: dict[str, tuple[str, dict[str, Any]]],
    root: str,
    output: Path,
) -> dict[str, Any]:
    """The ExecutorInput as JSON.

    Args:
        pipeline: compiled.
        given: URI and metadata of each input artifact.
        root: the folder of the output artifacts.
        output: the file for what the platform is told of them.
    """
    component = pipeline.spec["components"][f"comp-{TRAINER}"]
    inputs, outputs = component["inputDefinitions"], component["outputDefinitions"]
    values = {}
    sources = pipeline.spec["root"]["dag"]["tasks"][TRAINER]["inputs"]["parameters"]
    for name, source in sources.items():
        if is_step_input(name):
            wanted = source["componentInputParameter"]
            (values[name],) = [p.value for p in pipeline.parameters if p.name == wanted]
        else:
            values[name] = source["runtimeValue"]["constant"]
    return {
        "inputs": {
            "parameterValues": values,
            "artifacts": {
                name: _artifact(inputs["artifacts"][name], uri, metadata)
                for name, (uri, metadata) in given.items()
            },
        },
        "outputs": {
            "artifacts": {
                name: _artifact(definition, f"{root}/{name}", definition.get("metadata", {}))
                for name, definition in outputs["artifacts"].items()
            },
            "outputFile": str(output),
        },
    }


def arguments(pipeline: CompiledPipeline, given: dict[str, Any]) -> list[str]:
    """Those of the container, the ExecutorInput in its place."""
    return [text.replace("{{$}}", json.dumps(given)) for text in container(pipeline)["args"]]


def _artifact(definition: dict[str, Any], uri: str, metadata: dict[str, Any]) -> dict[str, Any]:
    entry = {"type": definition["artifactType"], "uri": uri, "metadata": metadata}
    return {"artifacts": [entry]}
