"""Records of artifacts, as a cluster's metadata keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from kubeflow.local_execution.job import Schema, Task

Record: TypeAlias = dict[str, Any]
"""A RuntimeArtifact as JSON: name, type, uri, metadata."""

_PROPERTIES = ("metadata", "properties", "customProperties")
_UNTYPED: Final = {"instanceSchema": ""}


def planned(schema: Schema, task: Task, run_id: str, folder: Path) -> dict[str, Record]:
    """The artifacts that a task is to make.

    Args:
        schema: of the specification.
        task: that makes them.
        run_id: of the run; no two artifacts of a workspace have the same name.
        folder: of the task, below the pipeline root.
    """
    return {
        key: {
            "name": _name(schema, f"{run_id}/{task.name}/{key}"),
            "type": definition.get("artifactType", {}),
            "uri": str(folder / key),
            **{kind: dict(definition[kind]) for kind in _PROPERTIES if kind in definition},
        }
        for key, definition in task.output_artifacts.items()
    }


def as_output(schema: Schema, record: Record) -> Record:
    """A planned record as the task that makes it is told of it.

    In Kubeflow Pipelines it has no name yet: its metadata store gives it one afterwards.
    """
    if schema is Schema.V2_0:
        return record
    return {key: value for key, value in record.items() if key != "name"}


def as_input(schema: Schema, record: Record) -> Record:
    """A record as a task that takes the artifact is told of it.

    In Kubeflow Pipelines without its type, which the driver does not know.
    """
    return record if schema is Schema.V2_0 else {**record, "type": _UNTYPED}


def _name(schema: Schema, path: str) -> str:
    """The name of an artifact in a cluster's metadata: a path, or in Kubeflow's a number."""
    if schema is Schema.V2_0:
        return path
    # Of 63 bits, as there; two artifacts do not meet in so many.
    return str(int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) >> 1)


def with_report(record: Record, reported: Mapping[str, Any]) -> Record:
    """A planned record with what the task said about it.

    Args:
        record: as planned.
        reported: what came back, without a type; what it leaves out stays as planned.
    """
    changed = {
        kind: {**record.get(kind, {}), **reported[kind]} for kind in _PROPERTIES if kind in reported
    }
    return {**record, **changed, "uri": reported.get("uri") or record["uri"]}
