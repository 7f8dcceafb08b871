"""Reads a compiled file: a PipelineJob in JSON or a PipelineSpec in YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from kubeflow.local_execution import remote_work, values
from kubeflow.local_execution.job import (
    Constant,
    Container,
    Job,
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

# A second document holds what only Kubernetes needs.
_PLATFORMS = "platforms"
_ONLY_ON_A_CLUSTER = ("artifactIterator", "parameterIterator")
_ALL_SUCCEEDED = ("TRIGGER_STRATEGY_UNSPECIFIED", "ALL_UPSTREAM_TASKS_SUCCEEDED")


def read(path: Path) -> Job:
    """Returns the job that a compiled file holds.

    Args:
        path: File with a PipelineJob (`pipelineSpec`, `runtimeConfig`) or a PipelineSpec, in JSON
            or YAML, of schema 2.0.0 or 2.1.0; a document of platforms may follow.

    Raises:
        UserError: it is none, or it cannot be run on this machine; the message begins with the
            path.
        OSError: the file cannot be read.
    """
    with _naming(path):
        return _job(Section("job", _documents(path.read_bytes())[0]))


def read_to_run_here(path: Path) -> Job:
    """Returns the job that a compiled file holds, all of whose work is done on this machine.

    Args:
        path: File that `read` reads.

    Raises:
        UserError: as `read` raises it, or a task has its work done elsewhere.
        OSError: the file cannot be read.
    """
    job = read(path)
    with _naming(path):
        for task in job.tasks.values():
            remote_work.refuse(task)
    return job


def read_documents(path: Path) -> list[dict[str, Any]]:
    """Returns the documents of a compiled file: the pipeline, and then what platforms add.

    Raises:
        UserError: it is no JSON or YAML, or has not one pipeline.
        OSError: the file cannot be read.
    """
    with _naming(path):
        return _documents(path.read_bytes())


def with_parameters(job: Job, given: Mapping[str, str]) -> dict[str, values.Value]:
    """Returns the values of the pipeline's inputs.

    Args:
        job: whose inputs.
        given: texts that take the place of what the file holds.

    Raises:
        UserError: there is no such input, a text is none of its type, or an input has no value.
    """
    found = dict(job.parameters)
    for name, text in given.items():
        if name not in job.parameter_types:
            known = ", ".join(sorted(job.parameter_types)) or "none"
            raise UserError(f"--parameter {name}: the job has no such parameter; it has {known}")
        kind = job.parameter_types[name]
        try:
            found[name] = values.parsed(text, kind)
        except ValueError as error:
            raise UserError(f"--parameter {name}={text}: expected {kind}") from error
    needed = {
        source.name
        for task in job.tasks.values()
        for source in task.parameters.values()
        if isinstance(source, PipelineInput)
    }
    for name in sorted(needed - set(found)):
        raise UserError(f"parameter {name} has no value; give --parameter {name}=VALUE")
    return found


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _documents(content: bytes) -> list[Any]:
    try:
        text = content.decode("utf-8")
        if text.lstrip().startswith("{"):
            documents = [json.loads(text)]
        else:
            documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except json.JSONDecodeError as error:
        raise UserError(f"line {error.lineno}: no JSON: {error.msg}") from error
    except yaml.YAMLError as error:
        raise UserError(f"no YAML: {' '.join(str(error).split())}") from error
    except UnicodeDecodeError as error:
        raise UserError("neither JSON nor YAML; expected what `movierec compile` writes") from error
    platforms = [d for d in documents if isinstance(d, dict) and _PLATFORMS in d]
    found = [d for d in documents if d not in platforms]
    if len(found) != 1:
        raise UserError(f"{len(found)} pipelines; expected one")
    return found + platforms


def _job(document: Section) -> Job:
    compiled = document.section("pipelineSpec") if document.has("pipelineSpec") else document
    specification = Section("specification", compiled.content)
    schema = _schema(specification)
    root = specification.section("root")
    tasks = {
        name: _task(name, task, specification, schema)
        for name, task in root.section("dag").sections("tasks").items()
    }
    if not tasks:
        raise UserError("no tasks below root.dag.tasks")
    runtime = document.section("runtimeConfig")
    types = _parameter_types(root.section("inputDefinitions"))
    job = Job(
        name=specification.section("pipelineInfo").text("name"),
        schema=schema,
        pipeline_root=runtime.content.get("gcsOutputDirectory")
        or specification.content.get("defaultPipelineRoot"),
        parameter_types=types,
        parameters={
            name: values.of_type(value, types[name])
            for name, value in {**_defaults(root), **_runtime_values(runtime)}.items()
            if name in types
        },
        tasks=tasks,
    )
    for task in tasks.values():
        _check_sources(task, job)
    _check_order(tasks)
    return job


def _schema(specification: Section) -> Schema:
    version = specification.text("schemaVersion")
    if version not in list(Schema):
        raise UserError(f"schemaVersion {version}; expected {' or '.join(Schema)}")
    return Schema(version)


def _defaults(root: Section) -> dict[str, Any]:
    definitions = root.section("inputDefinitions").sections("parameters")
    return {
        name: definition.content["defaultValue"]
        for name, definition in definitions.items()
        if definition.has("defaultValue")
    }


def _runtime_values(runtime: Section) -> dict[str, Any]:
    legacy = {
        name: _legacy_value(value.where, value.content)
        for name, value in runtime.sections("parameters").items()
    }
    return {**legacy, **runtime.section("parameterValues").content}


def _check_sources(task: Task, job: Job) -> None:
    for name in sorted(task.after - set(job.tasks)):
        raise UserError(f"task {task.name}: comes after {name}, which is no task of the job")
    for key, source in task.parameters.items():
        if isinstance(source, PipelineInput) and source.name not in job.parameter_types:
            raise UserError(f"task {task.name}: {key} is {source.name}, no input of the pipeline")
        if isinstance(source, TaskOutput):
            _check_output(task, key, source, job.tasks[source.task].output_parameters)
    for key, source in task.artifacts.items():
        _check_output(task, key, source, job.tasks[source.task].output_artifacts)


def _check_output(task: Task, key: str, source: TaskOutput, made: Mapping[str, Any]) -> None:
    if source.key not in made:
        raise UserError(
            f"task {task.name}: {key} is {source.key} of {source.task}, which makes no such thing"
        )


def _check_order(tasks: Mapping[str, Task]) -> None:
    try:
        TopologicalSorter({name: task.after for name, task in tasks.items()}).prepare()
    except CycleError as error:
        raise UserError(f"tasks wait for each other: {' -> '.join(error.args[1])}") from error


def _task(name: str, task: Section, specification: Section, schema: Schema) -> Task:
    """Returns the task.

    Args:
        name: Name of the task.
        task: its part of the graph.
        specification: Components and executors of the job.
        schema: Schema of the specification.

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
        parameter_types=_parameter_types(component.section("inputDefinitions")),
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


def _parameter_types(definitions: Section) -> dict[str, ParameterType]:
    """Returns the types of the parameters that definitions of inputs or outputs name.

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
        for name, kind in _parameter_types(made).items()
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
    return Constant(_legacy_value(source.where, value.content.get("constantValue")))


def _legacy_value(where: str, value: Any) -> values.Value:
    """Returns what a value of schema 2.0 holds.

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
    """Returns a duration, as protos write it in JSON: `1.5s`."""
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
