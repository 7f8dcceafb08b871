"""Remembers what tasks made, by a fingerprint of all that a task is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from kubeflow.local_execution import values
from kubeflow.local_execution.artifacts import Record
from kubeflow.local_execution.executor_messages import Outputs
from kubeflow.local_execution.job import Task
from kubeflow.local_execution.platforms import Platform
from kubeflow.local_execution.values import Value
from kubeflow.storage.locations import Locations
from pipeline import atomic_file, code_fingerprint

# Part of every fingerprint: entries that were written another way are not found.
_FORMAT: Final = 6


def fingerprint(
    platform: Platform,
    task: Task,
    parameters: Mapping[str, Value],
    artifacts: Mapping[str, Record],
    image_id: str | None = None,
) -> str:
    """Returns a fingerprint of what a task is given and runs, and of the platform that gives it.

    An artifact's name and place are part of it: what a task made anew is another input. So is the
    installed code that the command and the parameters name, which runs here in place of the image.

    Args:
        platform: Platform of the run.
        task: Task of the run.
        parameters: Values of its parameters.
        artifacts: Records of its input artifacts.
        image_id: Id of the image that runs; None if the installed code does.
    """
    container = task.container
    named = code_fingerprint.names_in(
        [*container.command, *(values.text(value) for value in parameters.values())]
    )
    code = image_id or code_fingerprint.fingerprint(*named)
    content = [
        _FORMAT,
        platform.name,
        task.cache_key,
        [container.image, container.command, dict(container.environment)],
        code,
        dict(parameters),
        dict(artifacts),
        dict(task.output_artifacts),
        {name: astuple(declared) for name, declared in task.output_parameters.items()},
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Cache:
    """What earlier runs made, in a folder.

    A workspace may be moved or copied. What is in buckets is then in the new place, and what has
    paths of the old place is made again.
    """

    def __init__(self, folder: Path, locations: Locations, root: str) -> None:
        """Constructs the cache.

        Args:
            folder: Folder of the entries, which is made when something is kept.
            locations: Places of buckets on this machine.
            root: Path or address of the artifacts.
        """
        self._folder = folder
        self._locations = locations
        self._root = root

    def find(self, key: str) -> Outputs | None:
        """Returns what was made for a fingerprint, if all of it is still there."""
        try:
            entry: dict[str, Any] = json.loads(self._path(key).read_text(encoding="utf-8"))
            made, present = Outputs(entry["artifacts"], entry["parameters"]), entry["present"]
            is_here = entry["root"] == self._root
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return made if is_here and all(map(self._exists, present)) else None

    def keep(self, key: str, outputs: Outputs) -> None:
        """Remembers what was made for a fingerprint.

        A task may leave an artifact unwritten; such a one need not be there later.
        """
        uris = [record["uri"] for record in outputs.artifacts.values()]
        entry = {
            "artifacts": dict(outputs.artifacts),
            "parameters": dict(outputs.parameters),
            "present": [uri for uri in uris if self._exists(uri)],
            "root": self._root,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(entry, indent=1, sort_keys=True)
        atomic_file.write_text(self._path(key), text)

    def _exists(self, uri: str) -> bool:
        return Path(self._locations.local(uri)).exists()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
