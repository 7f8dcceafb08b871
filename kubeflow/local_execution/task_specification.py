"""Reads one task of a specification."""

from __future__ import annotations

from typing import Any

from kubeflow.local_execution import values
from kubeflow.local_execution.job import (
    Constant,
    Container,
    OutputParameter,
    ParameterSource,
    PipelineInput,
    Retries,
    Schema,
    Task,
    TaskOutput,
)
from kubeflow.local_execution.section import Section
from kubeflow.local_execution.values import ParameterType
from pipeline.config.errors import UserError

_ONLY_ON_A_CLUSTER = ("artifactIterator", "parameterIterator")
_ALL_SUCCEEDED = ("TRIGGER_STRATEGY_UNSPECIFIED", "ALL_UPSTREAM_TASKS_SUCCEEDED")


def read(name: str, task: Section, specification: Section, schema: Schema) -> Task:
    """The task.

    Args:
        name: of the task.
        task: its part of the graph.
        specification: with the components and executors.
        schema: of the specification.

    Raises:
        UserError: something that the task names is not there, or it cannot be run here.
    """
    _refuse_control_flow(name, task)
    component = _named(
        name, specification.sections("components"), task.section("componentRef").text("name")
    )
    inputs, made = task.section("inputs"), component.section("outputDefinitions")
    parameters = {
        key: _parameter_source(source, schema)
        for key, source in inputs.sections("parameters").items()
    }
    artifacts = {
        key: _artifact_source(source) for key, source in inputs.sections("artifacts").items()
    }
    makers = [s for s in (*parameters.values(), *artifacts.values()) if isinstance(s, TaskOutput)]
    caching = task.section("cachingOptions")
    return Task(
        name=name,
        container=_container(name, component, specification),
        parameters=parameters,
        parameter_types=parameter_types(component.section("inputDefinitions")),
        artifacts=artifacts,
        output_artifacts={
            key: definition.content for key, definition in made.sections("artifacts").items()
        },
        output_parameters=_output_parameters(made),
        after=frozenset([*task.texts("dependentTasks"), *(maker.task for maker in makers)]),
        retries=_retries(task.section("retryPolicy")),
        cacheable=caching.content.get("enableCache", False) is True,
        cache_key=str(caching.content.get("cacheKey", "")),
    )


def parameter_types(definitions: Section) -> dict[str, ParameterType]:
    """The types of the parameters that definitions of inputs or outputs name.

    Raises:
        UserError: a type is not known.
    """
    found = {}
    for name, definition in definitions.sections("parameters").items():
        try:
            found[name] = values.parameter_type(definition.content)
        except ValueError as error:
            raise UserError(f"{definition.where}: {error}") from error
    return found


def _output_parameters(made: Section) -> dict[str, OutputParameter]:
    definitions = made.sections("parameters")
    return {
        name: OutputParameter(kind, legacy=not definitions[name].has("parameterType"))
        for name, kind in parameter_types(made).items()
    }


def _refuse_control_flow(name: str, task: Section) -> None:
    """Loops, conditions and tasks that run after failures are no part of our pipelines."""
    trigger = task.section("triggerPolicy")
    strategy = trigger.content.get("strategy", _ALL_SUCCEEDED[0])
    found = [key for key in _ONLY_ON_A_CLUSTER if task.has(key)]
    if trigger.has("condition") or strategy not in _ALL_SUCCEEDED:
        found.append("triggerPolicy")
    if found:
        raise UserError(f"task {name}: {found[0]} is not run on this machine; a cluster does that")


def _container(task: str, component: Section, specification: Section) -> Container:
    if component.has("dag"):
        raise UserError(f"task {task}: a pipeline of its own is not run on this machine")
    executors = specification.section("deploymentSpec").sections("executors")
    executor = _named(task, executors, component.text("executorLabel"))
    if not executor.has("container"):
        kind = next(iter(executor.content), "nothing")
        raise UserError(
            f"task {task}: its executor is {kind}, which only the cluster's own services run; "
            "expected a container"
        )
    container = executor.section("container")
    if container.section("lifecycle").has("preCacheCheck"):
        raise UserError(
            f"task {task}: its executor has a driver (preCacheCheck), which only Vertex AI runs"
        )
    command = (*container.texts("command"), *container.texts("args"))
    if not command:
        raise UserError(f"task {task}: its container has no command; only the image knows it")
    return Container(
        image=str(container.content.get("image", "")),
        command=command,
        environment=_environment(container),
    )


def _environment(container: Section) -> dict[str, str]:
    variables = container.entries("env")
    return {entry.text("name"): str(entry.content.get("value", "")) for entry in variables}


def _parameter_source(source: Section, schema: Schema) -> ParameterSource:
    if source.has("componentInputParameter"):
        return PipelineInput(source.text("componentInputParameter"))
    if source.has("taskOutputParameter"):
        output = source.section("taskOutputParameter")
        return TaskOutput(output.text("producerTask"), output.text("outputParameterKey"))
    value = source.section("runtimeValue")
    if value.has("runtimeParameter"):
        return PipelineInput(value.text("runtimeParameter"))
    if schema is Schema.V2_1 and value.has("constant"):
        return Constant(value.content["constant"])
    return Constant(legacy_value(source.where, value.content.get("constantValue")))


def legacy_value(where: str, value: Any) -> values.Value:
    """What a value of schema 2.0 holds.

    Raises:
        UserError: it is none.
    """
    try:
        return values.from_legacy(value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _artifact_source(source: Section) -> TaskOutput:
    if not source.has("taskOutputArtifact"):
        raise UserError(f"{source.where}: expected taskOutputArtifact; pipelines take no artifacts")
    output = source.section("taskOutputArtifact")
    return TaskOutput(output.text("producerTask"), output.text("outputArtifactKey"))


def _retries(policy: Section) -> Retries:
    default = Retries()
    return Retries(
        count=int(policy.number("maxRetryCount", default.count)),
        wait=_seconds(policy, "backoffDuration", default.wait),
        factor=policy.number("backoffFactor", default.factor),
        longest_wait=_seconds(policy, "backoffMaxDuration", default.longest_wait),
    )


def _seconds(policy: Section, key: str, default: float) -> float:
    """A duration, as protos write it in JSON: `1.5s`."""
    if not policy.has(key):
        return default
    written = policy.text(key)
    try:
        return float(written.removesuffix("s"))
    except ValueError as error:
        raise UserError(f"{policy.where}.{key}: {written}; expected seconds like 30s") from error


def _named(task: str, present: dict[str, Section], name: str) -> Section:
    if name not in present:
        raise UserError(f"task {task}: the file has no {name}")
    return present[name]
