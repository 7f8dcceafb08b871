"""What is to be sent, checked as far as it can be without a platform or its client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kubeflow import run_parameters
from kubeflow.local_execution import job_file
from kubeflow.local_execution.job import Job
from kubeflow.local_execution.values import Value
from kubeflow.parameters import DATA, PIPELINE_ROOT, PUSH
from kubeflow.submission.schedule import Schedule
from kubeflow.targets import RULES, Target, check_location, parse_target
from pipeline.config.errors import UserError
from pipeline.config.name_value import pairs

_JOB_SPEC = "pipelineSpec"
LOCATIONS = (PIPELINE_ROOT, DATA, PUSH)
"""Parameters that are folders, the one that others may be in first."""


@dataclass(frozen=True)
class CompiledFile:
    """What `movierec compile` wrote.

    Attributes:
        path: of the file.
        target: the platform that it was compiled for.
        job: what it says.
        documents: what it holds, as it stands there: the pipeline, then what platforms add.
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
    """What a run, or each run of a schedule, is given.

    Attributes:
        compiled: what runs.
        parameters: those that get another value than the file has.
        run_name: what a person calls it; None for the pipeline's own name.
        schedule: when runs start; None for one run now.
        use_cache: whether tasks may take earlier results, as the file says; else none may.
        made: when the request was made, which tells runs apart.
    """

    compiled: CompiledFile
    parameters: Mapping[str, Value] = field(default_factory=dict)
    run_name: str | None = None
    schedule: Schedule | None = None
    use_cache: bool = True
    made: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def unique_name(self) -> str:
        """The pipeline's name and the time."""
        return f"{self.compiled.job.name}-{self.made:%Y%m%d%H%M%S}"

    @property
    def pipeline_root(self) -> str | None:
        """Where the steps write; None if the file leaves it to the platform."""
        return self.parameters.get(PIPELINE_ROOT) or self.compiled.job.pipeline_root


@dataclass(frozen=True)
class Call:
    """One call of a platform's REST API.

    Attributes:
        method: of HTTP.
        path: with what is not known before in angle brackets.
        query: what follows the path.
        when: it is made; always if empty.
        file: that it uploads.
        body: that it sends.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    file: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """What there is of it, for people and programs to read."""
        return {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in vars(self).items()
            if value
        }


def read(path: Path, target: str | None) -> CompiledFile:
    """The compiled file.

    Args:
        path: of it.
        target: the platform that it should be for; None for whichever it is.

    Raises:
        UserError: it is none, is for another platform, or that platform would not know it.
        OSError: it cannot be read.
    """
    wanted = None if target is None else parse_target(target)
    job, documents = job_file.read(path), job_file.read_documents(path)
    holds = Target.VERTEX if _JOB_SPEC in documents[0] else Target.KFP
    if wanted not in (None, holds):
        kind = "a PipelineJob" if holds is Target.VERTEX else "a PipelineSpec"
        raise UserError(
            f"--target {wanted}: {path} is {kind}, compiled for {holds}; "
            f"`movierec compile --target {wanted}` makes what {wanted} runs"
        )
    endings = RULES[holds].endings
    if path.suffix not in endings:
        raise UserError(f"{path}: expected a name that ends in {' or '.join(endings)} for {holds}")
    return CompiledFile(path, holds, job, documents)


def parameters(compiled: CompiledFile, entries: Iterable[str]) -> dict[str, Value]:
    """The values of parameters that take the place of the file's.

    The push folder moves with the pipeline root that it is in.

    Args:
        compiled: whose parameters.
        entries: each as NAME=VALUE.

    Raises:
        UserError: there is no such parameter, or it takes no such value.
    """
    changed = run_parameters.changed(compiled.job, pairs("--parameter", entries))
    root = changed.get(PIPELINE_ROOT) or compiled.job.pipeline_root or ""
    for name in LOCATIONS:
        if name in changed:
            option = f"--parameter {name}"
            changed[name] = check_location(option, changed[name], compiled.target, root)
    return changed


def check_kind(option: str, text: str, kind: Any, expected: str) -> str:
    """The text of an option.

    Args:
        option: that was given.
        text: its value.
        kind: a type of the configuration.
        expected: what that type takes.

    Raises:
        UserError: it does not take the text.
    """
    try:
        return str(TypeAdapter(kind).validate_python(text))
    except ValidationError as error:
        raise UserError(f"{option} {text}: expected {expected}") from error


def check_given(option: str, text: str | None, what: str, target: Target) -> str:
    """The text of an option that a platform needs.

    Raises:
        UserError: it is not given, or empty.
    """
    if not text or text.isspace():
        raise UserError(f"{option}: not given; {target} needs {what}")
    return text


def check_foreign(target: Target, options: Mapping[str, object]) -> None:
    """Sees that no option of another platform is given.

    Raises:
        UserError: there is one.
    """
    for option, value in options.items():
        if value:
            raise UserError(f"{option}: of another platform; the file was compiled for {target}")
