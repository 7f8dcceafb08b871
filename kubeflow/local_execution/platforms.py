"""What drivers and launchers of the platforms tell a task, by release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kubeflow.local_execution.job import Schema
from kubeflow.targets import OLDEST_KFP
from pipeline.config.errors import UserError


@dataclass(frozen=True)
class Platform:
    """A platform, as far as a task can tell it from others.

    Attributes:
        name: the platform and its release.
        copies: whether a launcher copies input artifacts to files of each attempt's own machine,
            and the files of outputs from there: folders without files are lost. Where none does,
            buckets are mounted. Those mounts rename no folders, so here they are empty and have
            to stay so.
        keeps_types: whether inputs come with their types. The driver of Kubeflow Pipelines has
            `{"instanceSchema": ""}` for all.
        keeps_properties: whether an artifact keeps `properties` and `customProperties`. Kubeflow
            Pipelines keeps `metadata` alone.
        doubles: whether parameters and metadata hold every number as a double.
        writes_empty: whether an ExecutorInput has maps without entries.
        fills_constants: whether the launcher also fills in the placeholders inside the constants of
            the ExecutorInput. The values are not escaped: a quotation mark or a backslash makes
            invalid JSON. Before 2.14.0 it depends on the order of a Go map.
        undeclared: types of output artifacts that no component declares, by name.
        names_outputs: whether an output artifact has a name before it is made.
        numbers_attempts: whether the URI of an undeclared output ends in the attempt's number.
        own_folder: whether a folder with a random name is between the task's and its outputs.
        output_file: name of the file for the ExecutorOutput in the folder of the outputs; None for
            a file in `/tmp`.
    """

    name: str
    copies: bool = True
    keeps_types: bool = False
    keeps_properties: bool = False
    doubles: bool = True
    writes_empty: bool = False
    fills_constants: bool = False
    undeclared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    numbers_attempts: bool = False
    names_outputs: bool = False
    own_folder: bool = False
    output_file: str | None = None


VERTEX: Final = Platform(
    "Vertex AI",
    copies=False,
    keeps_types=True,
    keeps_properties=True,
    doubles=False,
    writes_empty=True,
    names_outputs=True,
    output_file="executor_output.json",
)

# What each release of Kubeflow Pipelines changes for tasks; the others change nothing.
_NEWEST: Final = (2, 17, 0)
_CHANGES: Final[Mapping[tuple[int, ...], Mapping[str, Any]]] = {
    OLDEST_KFP: {},
    (2, 4, 0): {"own_folder": True},
    (2, 5, 0): {"undeclared": {"executor-logs": {"schemaTitle": "system.Artifact"}}},
    (2, 14, 0): {"fills_constants": True},
    (2, 15, 0): {"names_outputs": True, "output_file": "output_metadata.json"},
    (2, 16, 1): {"numbers_attempts": True},
}
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")


def find(schema: Schema, version: str | None) -> Platform:
    """Returns the platform that runs a job.

    Args:
        schema: Schema of the job's specification; Vertex AI has 2.0.
        version: a release of Kubeflow Pipelines; None for the newest that is known.

    Raises:
        UserError: the platform has no releases, or there is no such one here.
    """
    if schema is Schema.V2_0:
        if version is not None:
            raise UserError(
                f"--platform-version {version}: of another platform; the file was compiled for "
                f"Vertex AI, which has no versions"
            )
        return VERTEX
    release = _NEWEST if version is None else _release(version)
    platform = Platform(f"Kubeflow Pipelines {_text(release)}")
    for since, change in _CHANGES.items():
        if since <= release:
            platform = replace(platform, **change)
    return platform


def _release(version: str) -> tuple[int, ...]:
    release = tuple(map(int, version.split("."))) if _VERSION.fullmatch(version) else ()
    if not OLDEST_KFP <= release <= _NEWEST:
        raise UserError(
            f"--platform-version {version}: expected a release of Kubeflow Pipelines from "
            f"{_text(OLDEST_KFP)} to {_text(_NEWEST)}"
        )
    return release


def _text(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
