"""Reads a compiled file: a PipelineJob in JSON or a PipelineSpec in YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from kubeflow.local_execution import task_specification, values, work_elsewhere
from kubeflow.local_execution.job import Job, PipelineInput, Schema, Task, TaskOutput
from kubeflow.local_execution.section import Section
from pipeline.config.errors import UserError

# A second document holds what only Kubernetes needs.
_PLATFORMS = "platforms"


def read(path: Path) -> Job:
    """The job that a compiled file holds.

    Args:
        path: of a PipelineJob (`pipelineSpec`, `runtimeConfig`) or a PipelineSpec, schema 2.0.0 or
            2.1.0, in JSON or YAML; a document of platforms may follow.

    Raises:
        UserError: it is none, or it cannot be run on this machine; the message begins with the
            path.
        OSError: the file cannot be read.
    """
    with _naming(path):
        return _job(Section("job", _documents(path.read_bytes())[0]))


def read_to_run_here(path: Path) -> Job:
    """The job that a compiled file holds, all of whose work is done on this machine.

    Args:
        path: as `read` takes it.

    Raises:
        UserError: as `read` raises it, or a task has its work done elsewhere.
        OSError: the file cannot be read.
    """
    job = read(path)
    with _naming(path):
        for task in job.tasks.values():
            work_elsewhere.refuse(task)
    return job


def read_documents(path: Path) -> list[dict[str, Any]]:
    """What a compiled file holds, as it stands there: the pipeline, and then what platforms add.

    Raises:
        UserError: it is no JSON or YAML, or has not one pipeline.
        OSError: the file cannot be read.
    """
    with _naming(path):
        return _documents(path.read_bytes())


def with_parameters(job: Job, given: Mapping[str, str]) -> dict[str, values.Value]:
    """The values of the pipeline's inputs.

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
        name: task_specification.read(name, task, specification, schema)
        for name, task in root.section("dag").sections("tasks").items()
    }
    if not tasks:
        raise UserError("no tasks below root.dag.tasks")
    runtime = document.section("runtimeConfig")
    types = task_specification.parameter_types(root.section("inputDefinitions"))
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
        name: task_specification.legacy_value(value.where, value.content)
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
