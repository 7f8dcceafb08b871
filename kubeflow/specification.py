"""Changes to what TFX compiles, so that Kubeflow Pipelines and Vertex AI both run it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from kubeflow import parameters
from kubeflow.names import component_name, executor_name, task_name
from kubeflow.parameters import Parameter
from kubeflow.targets import Target

Spec = dict[str, Any]


def without_drivers(spec: Spec) -> None:
    """Takes out what only TFX's own platforms run before a step."""
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"].pop("lifecycle", None)


def always_run(spec: Spec, node_ids: Iterable[str]) -> None:
    """Lets no earlier result stand for these steps: they look at what has changed since."""
    for node_id in node_ids:
        spec["root"]["dag"]["tasks"][node_id].pop("cachingOptions", None)


def with_resources(spec: Spec, node_ids: Iterable[str], resources: Spec) -> None:
    """Asks for the same, if it is anything, for each of the steps."""
    for node_id in node_ids if resources else ():
        executor = spec["components"][node_id]["executorLabel"]
        spec["deploymentSpec"]["executors"][executor]["container"]["resources"] = deepcopy(
            resources
        )


def with_environment(spec: Spec, node_id: str, variables: Mapping[str, str]) -> None:
    """Sets variables for a step's container."""
    executor = spec["components"][node_id]["executorLabel"]
    spec["deploymentSpec"]["executors"][executor]["container"]["env"] = [
        {"name": name, "value": value} for name, value in variables.items()
    ]


def pass_parameter(spec: Spec, producer: str, consumer: str, name: str, legacy: bool) -> None:
    """Makes an output of one step an input of the same name of another.

    TFX's executor answers in the form of schema 2.1, and TFX declares outputs so in both.
    """
    outputs = spec["components"][producer]["outputDefinitions"]
    outputs.setdefault("parameters", {})[name] = _declared("STRING", legacy=False)
    inputs = spec["components"][consumer]["inputDefinitions"]
    inputs.setdefault("parameters", {})[name] = _declared("STRING", legacy)
    task = spec["root"]["dag"]["tasks"][consumer]
    task["inputs"].setdefault("parameters", {})[name] = {
        "taskOutputParameter": {"producerTask": producer, "outputParameterKey": name}
    }
    task["dependentTasks"] = sorted({*task.get("dependentTasks", ()), producer})


def with_parameters(spec: Spec, declared: Iterable[Parameter], legacy: bool) -> None:
    """Declares the pipeline's inputs, and gives steps those that their constants mention.

    Args:
        spec: what is changed.
        declared: with their values, which schema 2.1 keeps in the specification.
        legacy: whether it is of schema 2.0.
    """
    by_name = {parameter.name: parameter for parameter in declared}
    spec["root"].setdefault("inputDefinitions", {})["parameters"] = {
        name: {"type": parameter.legacy_type}
        if legacy
        else {"parameterType": parameter.type, "defaultValue": parameter.value}
        for name, parameter in by_name.items()
    }
    by_input = {parameters.step_input(name): value for name, value in by_name.items()}
    for node_id, task in spec["root"]["dag"]["tasks"].items():
        inputs = task.get("inputs", {}).get("parameters", {})
        used = _insert_placeholders(inputs)
        definitions = spec["components"][node_id].get("inputDefinitions", {}).get("parameters", {})
        for name in used:
            parameter = by_input[name]
            inputs[name] = {"componentInputParameter": parameter.name}
            definitions[name] = _declared(
                parameter.legacy_type if legacy else parameter.type, legacy
            )


def with_step_arguments(spec: Spec, target: Target) -> None:
    """Tells each step its platform, and what its component declares: platforms add to that."""
    for component in spec["components"].values():
        declared = {
            side: {
                kind: sorted(component.get(f"{side[:-1]}Definitions", {}).get(kind, {}))
                for kind in ("artifacts", "parameters")
            }
            for side in ("inputs", "outputs")
        }
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        container["args"] += ["--target", str(target), "--declared", json.dumps(declared)]


def with_valid_names(spec: Spec) -> None:
    """Gives tasks, components and executors names that Kubernetes takes."""
    tasks = spec["root"]["dag"]["tasks"]
    for task in tasks.values():
        task["taskInfo"]["name"] = task_name(task["taskInfo"]["name"])
        task["componentRef"]["name"] = component_name(task["componentRef"]["name"])
        if "dependentTasks" in task:
            task["dependentTasks"] = sorted(map(task_name, task["dependentTasks"]))
        for kind in task.get("inputs", {}).values():
            for source in kind.values():
                for produced in ("taskOutputArtifact", "taskOutputParameter"):
                    if produced in source:
                        producer = source[produced]["producerTask"]
                        source[produced]["producerTask"] = task_name(producer)
    executors = {
        executor_name(node_id): spec["deploymentSpec"]["executors"][component["executorLabel"]]
        for node_id, component in spec["components"].items()
    }
    for node_id, component in spec["components"].items():
        component["executorLabel"] = executor_name(node_id)
    spec["deploymentSpec"]["executors"] = executors
    spec["components"] = {component_name(k): v for k, v in spec["components"].items()}
    spec["root"]["dag"]["tasks"] = {task_name(k): v for k, v in tasks.items()}


def _declared(kind: str, legacy: bool) -> Spec:
    return {"type" if legacy else "parameterType": kind}


def _insert_placeholders(inputs: dict[str, Spec]) -> list[str]:
    """Puts placeholders in place of marked numbers; the step inputs that constants mention."""
    used: set[str] = set()
    for source in inputs.values():
        holder, key = _constant(source)
        if isinstance(holder.get(key), str):
            holder[key] = parameters.with_placeholders(holder[key])
            used.update(parameters.used_inputs(holder[key]))
    return sorted(used)


def _constant(source: Spec) -> tuple[Spec, str]:
    """Where an input keeps its constant, in either schema."""
    value = source.get("runtimeValue", {})
    if "constantValue" in value:
        return value["constantValue"], "stringValue"
    return value, "constant"
