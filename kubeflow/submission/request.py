"""A run or a schedule to submit, checked as far as possible without a platform or its client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from kubeflow import run_parameters
from kubeflow.local_execution import job_file
from kubeflow.local_execution.job import Job
from kubeflow.local_execution.values import Value
from kubeflow.parameters import DATA, GOLDEN_SET, PIPELINE_ROOT, PUSH
from kubeflow.submission.schedule import Schedule
from kubeflow.targets import RULES, Target, check_location, parse_target
from pipeline.config.errors import UserError
from pipeline.config.name_value import pairs

_JOB_SPEC: Final = "pipelineSpec"
LOCATIONS: Final = (PIPELINE_ROOT, DATA, PUSH, GOLDEN_SET)
"""Parameters that are folders; the first one may contain the others."""


@dataclass(frozen=True)
class CompiledFile:
    """A file that `movierec compile` wrote.

    Attributes:
        path: Path of the file.
        target: Platform that it was compiled for.
        job: The job in it.
        documents: Its documents as they stand there: the pipeline, then one with what a platform
            adds, if there is one.
    """

    path: Path
    target: Target
    job: Job
    documents: list[dict[str, Any]]

    @property
    def pipeline(self) -> dict[str, Any]:
        """A PipelineJob for Vertex AI, a PipelineSpec for Kubeflow Pipelines."""
        return self.documents[0]


@dataclass(frozen=True)
class Request:
    """The settings of a run, or of each run of a schedule.

    Attributes:
        compiled: Compiled pipeline to run.
        parameters: Values of parameters that replace those of the file.
        run_name: Name that people find the run by; None for the pipeline's name.
        schedule: Times at which runs start; None for a single run now.
        use_cache: Whether tasks may take earlier results, as the file says.
        created: Time of the request, which tells runs apart.
    """

    compiled: CompiledFile
    parameters: Mapping[str, Value] = field(default_factory=dict)
    run_name: str | None = None
    schedule: Schedule | None = None
    use_cache: bool = True
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def unique_name(self) -> str:
        """The pipeline's name and the time of the request."""
        return f"{self.compiled.job.name}-{self.created:%Y%m%d%H%M%S}"

    @property
    def pipeline_root(self) -> str | None:
        """The folder for everything that the steps write; None for the platform's default."""
        return self.parameters.get(PIPELINE_ROOT) or self.compiled.job.pipeline_root


@dataclass(frozen=True)
class Call:
    """A call of a platform's REST API.

    Attributes:
        method: HTTP method.
        path: Path or address, with values that are not known yet in angle brackets.
        query: Query parameters.
        when: Condition of the call; empty if it is always made.
        file: Path of the file that it uploads.
        body: JSON that it sends.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    file: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Returns the attributes that are not empty, by name."""
        return {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in vars(self).items()
            if value
        }


def read(path: Path, target: str | None) -> CompiledFile:
    """Reads a compiled file.

    Args:
        path: Path of the file.
        target: Platform that it has to be compiled for; None for any.

    Raises:
        UserError: It is no compiled file, is for another platform, or has a name by which that
            platform does not recognise it.
        OSError: The file cannot be read.
    """
    wanted = None if target is None else parse_target(target)
    job, documents = job_file.read(path), job_file.read_documents(path)
    compiled_for = Target.VERTEX if _JOB_SPEC in documents[0] else Target.KFP
    if wanted not in (None, compiled_for):
        kind = "a PipelineJob" if compiled_for is Target.VERTEX else "a PipelineSpec"
        raise UserError(
            f"--target {wanted}: {path} is {kind}, compiled for {compiled_for}; "
            f"compile it with --target {wanted}"
        )
    endings = RULES[compiled_for].endings
    if path.suffix not in endings:
        raise UserError(
            f"{path}: expected a name that ends in {' or '.join(endings)} for {compiled_for}"
        )
    return CompiledFile(path, compiled_for, job, documents)


def parameters(compiled: CompiledFile, entries: Iterable[str]) -> dict[str, Value]:
    """Returns the values of parameters that replace those of the file.

    A push folder below the pipeline root moves with it.

    Args:
        compiled: Compiled pipeline with the parameters.
        entries: Parameters as NAME=VALUE.

    Raises:
        UserError: There is no such parameter, or it does not take the value.
    """
    changed = run_parameters.changed(compiled.job, pairs("--parameter", entries))
    root = changed.get(PIPELINE_ROOT) or compiled.job.pipeline_root or ""
    for name in LOCATIONS:
        if name in changed:
            option = f"--parameter {name}"
            changed[name] = check_location(option, changed[name], compiled.target, root)
    return changed


def check_type(option: str, text: str, kind: Any, expected: str) -> str:
    """Returns the value of an option as a type of the configuration.

    Args:
        option: Name of the option.
        text: Value of the option.
        kind: Type that pydantic validates, such as `Namespace`.
        expected: Description of the type for the error.

    Raises:
        UserError: The type does not take the value.
    """
    try:
        return str(TypeAdapter(kind).validate_python(text))
    except ValidationError as error:
        raise UserError(f"{option} {text}: expected {expected}") from error


def check_given(option: str, text: str | None, expected: str, target: Target) -> str:
    """Returns the value of an option that a platform needs.

    Args:
        option: Name of the option.
        text: Value of the option, if there is one.
        expected: Description of the value for the error.
        target: Platform that needs it.

    Raises:
        UserError: The option is not given or empty.
    """
    if not text or text.isspace():
        raise UserError(f"{option}: not given; {target} needs {expected}")
    return text


def check_foreign(target: Target, options: Mapping[str, object]) -> None:
    """Checks that no option of another platform is given.

    Args:
        target: Platform that the file was compiled for.
        options: Values of the other platform's options by name.

    Raises:
        UserError: One is given.
    """
    for option, value in options.items():
        if value:
            raise UserError(f"{option}: not an option of {target}, which the file is compiled for")
