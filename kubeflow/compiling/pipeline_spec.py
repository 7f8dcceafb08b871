"""Edits the PipelineSpec that TFX compiles, so that both platforms run it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, Final

from kubeflow import parameters
from kubeflow.parameters import EPOCHS, MAX_RMSE, Parameter
from kubeflow.targets import Target
from pipeline import graph

Spec = dict[str, Any]

# Places of numbers in the JSON texts that TFX compiles: parameter, steps, input, and path inside
# the text, where * stands for every entry of a list. A step or a path may be missing: not every
# pipeline has a tuner, and not every model is judged by its RMSE.
_NUMBERS: Final = (
    (EPOCHS, (graph.TUNER, graph.TRAINER), "custom_config", "training.epochs"),
    (
        MAX_RMSE,
        (graph.EVALUATOR,),
        "eval_config",
        "metrics_specs.*.metrics.*.per_slice_thresholds.*.threshold.value_threshold.upper_bound",
    ),
    (EPOCHS, (graph.RUN_REPORT,), "config", "training.epochs"),
    (MAX_RMSE, (graph.RUN_REPORT,), "gate", "max_rmse"),
)
_WORD_STARTS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def task_name(node_id: str) -> str:
    """Returns a step's name as a DNS label: `movie-lens-example-gen` for `MovieLensExampleGen`."""
    return _WORD_STARTS.sub("-", node_id).lower()


def component_name(node_id: str) -> str:
    """Returns the name under which the spec declares a step's inputs and outputs."""
    return f"comp-{task_name(node_id)}"


def executor_name(node_id: str) -> str:
    """Returns the name under which the spec describes a step's container."""
    return f"exec-{task_name(node_id)}"


def remove_drivers(spec: Spec) -> None:
    """Removes what only TFX's own platforms run before a step."""
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"].pop("lifecycle", None)


def disable_cache(spec: Spec, node_ids: Iterable[str]) -> None:
    """Makes steps run every time: they look up what has changed since the last run."""
    for node_id in node_ids:
        spec["root"]["dag"]["tasks"][node_id].pop("cachingOptions", None)


def set_resources(spec: Spec, node_ids: Iterable[str], resources: Spec) -> None:
    """Gives the containers of steps the same resources, if there are any to give."""
    for node_id in node_ids if resources else ():
        _container(spec, node_id)["resources"] = deepcopy(resources)


def set_environment(spec: Spec, node_id: str, variables: Mapping[str, str]) -> None:
    """Sets the environment variables of a step's container."""
    _container(spec, node_id)["env"] = [
        {"name": name, "value": value} for name, value in variables.items()
    ]


def pass_parameter(spec: Spec, producer: str, consumer: str, name: str, legacy: bool) -> None:
    """Makes an output parameter of one step an input of the same name of another.

    TFX's executor writes outputs in the form of schema 2.1, and TFX declares them so in both
    schemas.

    Args:
        spec: PipelineSpec to change.
        producer: Node id of the step with the output.
        consumer: Node id of the step that gets the input.
        name: Name of both.
        legacy: True for schema 2.0.
    """
    outputs = spec["components"][producer]["outputDefinitions"]
    outputs.setdefault("parameters", {})[name] = _definition("STRING", legacy=False)
    inputs = spec["components"][consumer]["inputDefinitions"]
    inputs.setdefault("parameters", {})[name] = _definition("STRING", legacy)
    task = spec["root"]["dag"]["tasks"][consumer]
    task["inputs"].setdefault("parameters", {})[name] = {
        "taskOutputParameter": {"producerTask": producer, "outputParameterKey": name}
    }
    task["dependentTasks"] = sorted({*task.get("dependentTasks", ()), producer})


def add_parameters(spec: Spec, declared: Iterable[Parameter], legacy: bool) -> None:
    """Declares the parameters of the pipeline and passes them to the steps that use them.

    Args:
        spec: PipelineSpec to change.
        declared: Parameters with their defaults, which schema 2.1 keeps in the spec.
        legacy: True for schema 2.0.
    """
    by_name = {parameter.name: parameter for parameter in declared}
    tasks = spec["root"]["dag"]["tasks"]
    spec["root"].setdefault("inputDefinitions", {})["parameters"] = {
        name: {"type": parameter.legacy_type}
        if legacy
        else {"parameterType": parameter.type, "defaultValue": parameter.value}
        for name, parameter in by_name.items()
    }
    for name, node_ids, constant, path in _NUMBERS:
        for node_id in node_ids:
            if node_id in tasks:
                source = tasks[node_id]["inputs"]["parameters"][constant]
                _insert_placeholder(source, path, parameters.placeholder(name))
    by_input = {parameters.step_input(name): parameter for name, parameter in by_name.items()}
    for node_id, task in tasks.items():
        inputs = task.get("inputs", {}).get("parameters", {})
        definitions = spec["components"][node_id].get("inputDefinitions", {}).get("parameters", {})
        for used in _used_inputs(inputs):
            parameter = by_input[used]
            inputs[used] = {"componentInputParameter": parameter.name}
            kind = parameter.legacy_type if legacy else parameter.type
            definitions[used] = _definition(kind, legacy)


def add_step_arguments(spec: Spec, target: Target) -> None:
    """Passes the platform and the declarations of its component to each step.

    Platforms add inputs and outputs to the declared ones, of types that TFX does not know.
    """
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


def rename_for_kubernetes(spec: Spec) -> None:
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


def _container(spec: Spec, node_id: str) -> Spec:
    executor = spec["components"][node_id]["executorLabel"]
    container: Spec = spec["deploymentSpec"]["executors"][executor]["container"]
    return container


def _definition(kind: str, legacy: bool) -> Spec:
    return {"type" if legacy else "parameterType": kind}


def _insert_placeholder(source: Spec, path: str, placeholder: str) -> None:
    """Puts a placeholder in the place of a number inside a constant, which is a JSON text."""
    holder, key = _constant(source)
    document = json.loads(holder[key])
    _replace(document, path.split("."), placeholder)
    # A number has no quotes.
    text = json.dumps(document, sort_keys=True)
    holder[key] = text.replace(json.dumps(placeholder), placeholder)


def _replace(document: Any, path: Sequence[str], value: str) -> None:
    """Replaces what is at a path, if there is anything."""
    key, *rest = path
    if key == "*":
        for entry in document:
            _replace(entry, rest, value)
    elif rest:
        _replace(document.get(key, {}), rest, value)
    elif key in document:
        document[key] = value


def _used_inputs(inputs: dict[str, Spec]) -> list[str]:
    """Returns the step inputs for which constants have placeholders."""
    texts = (holder.get(key) for holder, key in map(_constant, inputs.values()))
    used = (parameters.used_inputs(text) for text in texts if isinstance(text, str))
    return sorted(set(chain.from_iterable(used)))


def _constant(source: Spec) -> tuple[Spec, str]:
    """Returns where an input keeps its constant, in either schema: a dictionary and a key."""
    value = source.get("runtimeValue", {})
    if "constantValue" in value:
        return value["constantValue"], "stringValue"
    return value, "constant"
