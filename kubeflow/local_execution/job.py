"""A compiled job: what it is given, its tasks, and what each takes, makes and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from kubeflow.local_execution.values import ParameterType, Value


class Schema(StrEnum):
    """Versions of the pipeline specification."""

    V2_0 = "2.0.0"
    V2_1 = "2.1.0"


@dataclass(frozen=True)
class TaskOutput:
    """An input that another task makes."""

    task: str
    key: str


@dataclass(frozen=True)
class PipelineInput:
    """An input that is one of the pipeline's."""

    name: str


@dataclass(frozen=True)
class Constant:
    """An input that the file holds."""

    value: Value


ParameterSource: TypeAlias = TaskOutput | PipelineInput | Constant


@dataclass(frozen=True)
class Retries:
    """How often a task that failed is run again, and after how many seconds.

    Attributes:
        count: runs after the first.
        wait: before the first of them.
        factor: Ratio of each wait to the one before.
        longest_wait: Longest wait in seconds.
    """

    count: int = 0
    wait: float = 0.0
    factor: float = 2.0
    longest_wait: float = 3600.0

    def seconds_before(self, attempt: int) -> float:
        """Returns how long to wait before the first, second, … further run."""
        return float(min(self.wait * self.factor ** (attempt - 1), self.longest_wait))


@dataclass(frozen=True)
class Container:
    """What a task runs.

    Attributes:
        image: named in the file; started with `--docker` alone.
        command: Program and arguments, which may hold placeholders.
        environment: variables that are added.
    """

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class OutputParameter:
    """A value that a task returns.

    Attributes:
        kind: its type.
        legacy: whether it is declared as schema 2.0 does it, which a file of that schema need not:
            the task's answer then has it in `parameters`, and in `parameterValues` otherwise.
    """

    kind: ParameterType
    legacy: bool


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: unique in its job.
        container: Container of the task.
        parameters: where each input parameter comes from.
        parameter_types: Types of the input parameters.
        artifacts: where each input artifact comes from.
        output_artifacts: definitions of what it makes: `artifactType`, `metadata` and the like.
        output_parameters: the values it returns.
        after: the tasks that must have succeeded.
        retries: Number and times of further attempts after a failure.
        cacheable: whether an earlier result may be used.
        cache_key: the file's own part of the fingerprint.
    """

    name: str
    container: Container
    parameters: Mapping[str, ParameterSource]
    parameter_types: Mapping[str, ParameterType]
    artifacts: Mapping[str, TaskOutput]
    output_artifacts: Mapping[str, Mapping[str, Any]]
    output_parameters: Mapping[str, OutputParameter]
    after: frozenset[str]
    retries: Retries
    cacheable: bool
    cache_key: str


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        name: Name of the pipeline.
        schema: Schema of the specification.
        pipeline_root: where its artifacts go; None if the file leaves it to the cluster.
        parameter_types: Types of the pipeline's inputs.
        parameters: their values.
        tasks: by name.
    """

    name: str
    schema: Schema
    pipeline_root: str | None
    parameter_types: Mapping[str, ParameterType]
    parameters: Mapping[str, Value]
    tasks: Mapping[str, Task]
