"""Records of artifacts, as a cluster's metadata keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from kubeflow.local_execution import values
from kubeflow.local_execution.job import Task
from kubeflow.local_execution.platforms import Platform
from pipeline.config.errors import UserError

Record: TypeAlias = dict[str, Any]
"""A RuntimeArtifact as JSON: name, type, uri, metadata."""

_METADATA: Final = "metadata"
_PROPERTIES = (_METADATA, "properties", "customProperties")
_DECIMALS: Final = 6
_UNTYPED: Final = {"instanceSchema": ""}
# What the launcher of Kubeflow Pipelines adds to the metadata.
_STORE: Final = '{"Provider":"gs","Params":{"fromEnv":"true"}}'


def planned(
    platform: Platform, task: Task, run_id: str, folder: str, attempt: int
) -> dict[str, Record]:
    """Returns the artifacts that a task is to make, and those that the platform makes beside them.

    Args:
        platform: Platform of the run.
        task: Task of the artifacts.
        run_id: Id of the run, which keeps the names of artifacts unique.
        folder: address of the folder for them.
        attempt: number of the attempt, from 0 on.
    """
    kinds = _kept(platform)
    suffix = f"-{attempt}" if platform.numbers_attempts else ""
    undeclared = {key: {"artifactType": kind} for key, kind in platform.undeclared.items()}
    return {
        key: {
            "name": _name(platform, f"{run_id}/{task.name}/{key}"),
            "type": definition.get("artifactType", {}),
            "uri": f"{folder}/{key}{suffix if key in undeclared else ''}",
            **{kind: dict(definition[kind]) for kind in kinds if kind in definition},
        }
        for key, definition in {**task.output_artifacts, **undeclared}.items()
    }


def as_output(platform: Platform, key: str, record: Record) -> Record:
    """Returns a planned record as the task that makes it is told of it.

    In Kubeflow Pipelines the metadata store gives it its name afterwards; until then the newer
    releases call it by its key, and the older ones nothing.
    """
    if not platform.copies:
        return record
    told = {name: value for name, value in record.items() if name != "name"}
    return {"name": key, **told} if platform.names_outputs else told


def as_input(platform: Platform, record: Record) -> Record:
    """Returns a record as a task that takes the artifact is told of it."""
    return record if platform.keeps_types else {**record, "type": _UNTYPED}


def _name(platform: Platform, path: str) -> str:
    """Returns the name of an artifact in metadata: a path, or in Kubeflow's a number."""
    if not platform.copies:
        return path
    # Of 63 bits, as there; two artifacts do not meet in so many.
    return str(int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) >> 1)


def with_report(
    platform: Platform, key: str, record: Record, reported: Mapping[str, Any], run_folder: str
) -> Record:
    """Returns a planned record with what the task said about it, as the metadata store keeps it.

    Args:
        platform: whose store it is.
        key: Name of the output.
        record: Planned record.
        reported: Record in the answer of the task; fields that it lacks stay as planned.
        run_folder: address of the folder for what the run makes.

    Raises:
        UserError: the launcher of the platform fails on it.
    """
    changed = {
        kind: {**record.get(kind, {}), **reported[kind]}
        for kind in _kept(platform)
        if kind in reported
    }
    uri = reported.get("uri") or record["uri"]
    if platform.copies and not uri.startswith(f"{run_folder}/"):
        raise UserError(
            f"{key}: reported at {uri}, which the launcher cannot upload; expected an address "
            f"below {run_folder}"
        )
    made = {**record, **changed, "uri": uri}
    if not platform.doubles:
        return made
    stored = {name: _stored(key, name, value) for name, value in made.get(_METADATA, {}).items()}
    return {**made, _METADATA: {"display_name": key, "store_session_info": _STORE, **stored}}


def _kept(platform: Platform) -> tuple[str, ...]:
    return _PROPERTIES if platform.keeps_properties else (_METADATA,)


def _stored(key: str, name: str, value: Any) -> Any:
    """Returns a value of the metadata after the store of Kubeflow Pipelines.

    The store wraps what is nested and rounds numbers.
    """
    if value is None:
        raise UserError(f"{key}: {name} is null, which {_METADATA} in Kubeflow cannot be")
    if isinstance(value, int | float):
        return values.doubles(round(float(value), _DECIMALS))
    wrapped = {"list": value} if isinstance(value, list) else value
    return values.doubles({"struct": value} if isinstance(value, dict) else wrapped)
