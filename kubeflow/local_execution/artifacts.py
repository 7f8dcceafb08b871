"""Records of artifacts, as a cluster's metadata keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from kubeflow.local_execution.job import Task

Record: TypeAlias = dict[str, Any]
"""A RuntimeArtifact as JSON: name, type, uri, metadata."""

_PROPERTIES = ("metadata", "properties", "customProperties")


def planned(task: Task, run_id: str, folder: Path) -> dict[str, Record]:
    """The artifacts that a task is to make.

    Args:
        task: that makes them.
        run_id: of the run; no two artifacts of a workspace have the same name.
        folder: of the task, below the pipeline root.
    """
    return {
        key: {
            "name": f"{run_id}/{task.name}/{key}",
            "type": definition.get("artifactType", {}),
            "uri": str(folder / key),
            **{kind: dict(definition[kind]) for kind in _PROPERTIES if kind in definition},
        }
        for key, definition in task.output_artifacts.items()
    }


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
