"""The command of every container: prepares what a step is given, and has TFX run it.

The arguments are those of TFX's `kubeflow_v2_run_executor`, and two that the compiler adds: the
platform, and the names of what the step declares.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

from absl import app
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container import (
    kubeflow_v2_entrypoint_utils,
    kubeflow_v2_run_executor,
)
from tfx.types.experimental import simple_artifacts
from tfx.utils import name_utils

from kubeflow import image_files
from kubeflow.parameters import filled_in, is_step_input, parameter_name
from kubeflow.step_command import explained, parse
from kubeflow.steps import beam_worker, checkpoints, object_storage
from kubeflow.storage.mounts import MOUNTS, Mounts
from kubeflow.storage.stand_in import StandIn
from kubeflow.targets import Target
from kubeflow.training_job import manifest, step
from pipeline import beam_check
from pipeline.config.errors import LINE_START, RunInterruptedError, UserError

_TERMINATED: Final = 128 + signal.SIGTERM
# What would end a text inside JSON, or begin an escape.
_UNESCAPED: Final = '"\\'
# Characters of invalid JSON that a message shows on each side.
_SHOWN: Final = 40
# TFX finds the class of an artifact by its type's title, and this one demands nothing.
_ANY_TYPE: Final = name_utils.get_full_name(simple_artifacts.File)
# The parts of an ExecutorInput that have names, and what schemas call them where they are declared.
_KINDS: Final = {
    "artifacts": "artifacts",
    "parameters": "parameters",
    "parameterValues": "parameters",
}


def declared(executor_input: dict[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a step is given without what its component does not declare.

    Kubeflow Pipelines adds an output `executor-logs` from 2.5.0 on, of a type that TFX does not
    know. Its launcher writes it.

    Args:
        executor_input: an ExecutorInput as JSON.
        names: by side (`inputs`, `outputs`) and kind (`artifacts`, `parameters`), the names that
            are declared; nothing is taken out where they are not given.
    """
    return {**executor_input} | {
        side: {
            key: {name: entry for name, entry in entries.items() if name in kinds[_KINDS[key]]}
            if key in _KINDS
            else entries
            for key, entries in executor_input[side].items()
        }
        for side, kinds in names.items()
        if side in executor_input
    }


def without_system_types(executor_input: dict[str, Any]) -> dict[str, Any]:
    """Returns what a step is given with types that TFX knows for outputs of the platforms' types.

    The platform has the types from the compiled file, and no step tells it any.

    Args:
        executor_input: an ExecutorInput as JSON.
    """
    copy: dict[str, Any] = json.loads(json.dumps(executor_input))
    for listed in copy.get("outputs", {}).get("artifacts", {}).values():
        for artifact in listed.get("artifacts", ()):
            if is_system_type(artifact.get("type", {})):
                artifact["type"] = {"schemaTitle": _ANY_TYPE}
    return copy


def is_system_type(kind: Mapping[str, Any]) -> bool:
    """Returns whether a type, in JSON, is one of the platforms' own, such as `system.HTML`."""
    return str(kind.get("schemaTitle", "")).startswith("system.")


def with_names(executor_output: dict[str, Any], executor_input: dict[str, Any]) -> dict[str, Any]:
    """Returns what a step says with the names of artifacts in place of the ids that TFX makes.

    The platform knows no such id, and metadata has numbers as doubles, which cannot hold it.

    Args:
        executor_output: an ExecutorOutput as JSON.
        executor_input: an ExecutorInput as JSON, whose artifacts have names.
    """
    message = pipeline_spec_pb2.ExecutorInput.Inputs()
    artifacts = executor_input.get("inputs", {}).get("artifacts", {})
    json_format.ParseDict({"artifacts": artifacts}, message, ignore_unknown_fields=True)
    name_by_id: dict[int, str] = {}
    kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict(message.artifacts, name_by_id)
    names = {float(number): name for number, name in name_by_id.items()}
    copy: dict[str, Any] = json.loads(json.dumps(executor_output))
    for listed in copy.get("artifacts", {}).values():
        for artifact in listed.get("artifacts", ()):
            metadata = artifact.get("metadata", {})
            for key, value in metadata.items():
                if isinstance(value, int | float):
                    metadata[key] = names.get(float(value), value)
    return copy


def prepared(
    executor_input: dict[str, Any], inputs_spec: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns what a step is given, with everything in it that only its own machine can resolve.

    Placeholders inside constants get their values, whether or not the platform has done so, and
    the inputs that brought them are gone; addresses of installed files become paths; input
    artifacts whose type the platform leaves out get the type that the step's inputs are declared
    with.

    Args:
        executor_input: an ExecutorInput of schema 2.0 or 2.1 as JSON.
        inputs_spec: the ComponentInputsSpec of the step as JSON; schema 2.0 has none.

    Raises:
        UserError: A parameter's value would break the constants that it stands in.
    """
    inputs = executor_input.get("inputs", {})
    changed = {
        kind: _prepared_parameters(inputs[kind])
        for kind in ("parameters", "parameterValues")
        if kind in inputs
    }
    if "artifacts" in inputs:
        declared = (inputs_spec or {}).get("artifacts", {})
        changed["artifacts"] = {
            name: _typed(listed, declared.get(name, {}))
            for name, listed in inputs["artifacts"].items()
        }
    return {**executor_input, "inputs": {**inputs, **changed}}


def _executor_input(text: str) -> dict[str, Any]:
    """Returns the ExecutorInput that the platform wrote.

    Raises:
        UserError: It is no JSON. Launchers of Kubeflow Pipelines put the values of parameters into
            constants without escaping them.
    """
    try:
        given: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        near = text[max(error.pos - _SHOWN, 0) : error.pos + _SHOWN]
        raise UserError(
            f"what the platform gives this step is no JSON near {near!r}; expected parameters of "
            'the run without " and \\'
        ) from error
    return given


def _typed(listed: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Artifacts with a type, without which TFX does not know their class.

    The driver of Kubeflow Pipelines keeps no types: it has `{"instanceSchema": ""}` for all.
    """
    return {
        **listed,
        "artifacts": [
            artifact
            if any(artifact.get("type", {}).values()) or "artifactType" not in declared
            else {**artifact, "type": declared["artifactType"]}
            for artifact in listed.get("artifacts", ())
        ],
    }


def _prepared_parameters(values: dict[str, Any]) -> dict[str, Any]:
    texts = {name: _text(value) for name, value in values.items()}
    for name, text in texts.items():
        if is_step_input(name) and any(character in text for character in _UNESCAPED):
            raise UserError(
                f"parameter {parameter_name(name)}={text}: it stands inside JSON; expected a value "
                'without " and \\'
            )
    return {
        name: _with_text(value, image_files.path(filled_in(texts[name], texts)))
        for name, value in values.items()
        if not is_step_input(name)
    }


def _text(value: Any) -> str:
    """Returns a parameter as it stands inside a text."""
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, str):
        return value
    # JSON makes a float of every number on its way.
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value)


def _with_text(value: Any, text: str) -> Any:
    """Returns the parameter, with another text if it is one."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict) and "stringValue" in value:
        return {"stringValue": text}
    return value


def main(parsed: tuple[argparse.Namespace, list[str]]) -> None:
    """Runs a step, and ends the process with one line where the error is meant for a person."""
    try:
        with explained():
            run(parsed)
    except RunInterruptedError as error:
        print(f"{LINE_START}{error}", file=sys.stderr)
        sys.exit(_TERMINATED)


def run(parsed: tuple[argparse.Namespace, list[str]]) -> None:
    """Runs a step.

    Args:
        parsed: The command's own arguments, and those that are Beam's.

    Raises:
        UserError: A TFJob failed, or what the step is given cannot be used.
        RunInterruptedError: The process was told to stop.
    """
    arguments, beam_arguments = parsed
    beam_check.check_start(beam_arguments)
    object_storage.register()
    given = prepared(
        declared(
            _executor_input(arguments.json_serialized_invocation_args),
            json.loads(arguments.declared or "{}"),
        ),
        json.loads(arguments.json_serialized_inputs_spec_args or "{}"),
    )
    vertex = arguments.target == Target.VERTEX
    # The replicas of a TFJob are told no more than TFX's own arguments.
    arguments.target = arguments.declared = None
    given = without_system_types(checkpoints.with_local_checkpoints(given))
    stand_in = StandIn.read(os.environ)
    elsewhere = not stand_in.is_used and manifest.trains(given, os.environ)
    # Nothing is written where the launcher of Kubeflow Pipelines looks for outputs if others have
    # written them at their URIs. It then says that it finds nothing to copy, and goes by the URIs.
    here = beam_check.stays_here(beam_arguments) and not elsewhere
    mounts = Mounts(stand_in.mounts(MOUNTS) if here or vertex else {})
    # TensorFlow and Beam read and write gs:// themselves, and rename folders there, which the
    # mounts of Vertex AI refuse.
    placed = mounts.addressed(given) if vertex else mounts.mounted(given)
    executor_input = stand_in.local(placed)
    arguments.json_serialized_invocation_args = json.dumps(executor_input)
    if elsewhere:
        step.train(arguments)
        arguments.executor_class_path = step.EXECUTOR
    kubeflow_v2_run_executor.main((arguments, beam_arguments))
    output = executor_input["outputs"]["outputFile"]
    with fileio.open(output, "r") as file:
        executor_output = json.loads(file.read())
    named = with_names(executor_output, executor_input)
    with fileio.open(output, "w") as file:
        file.write(json.dumps(mounts.unmounted(stand_in.remote(named))))


if __name__ == "__main__":
    # Beam's runners call the image of the steps without a command.
    if beam_worker.is_asked_for(sys.argv[1:]):
        beam_worker.main()
    app.run(main, flags_parser=parse)
