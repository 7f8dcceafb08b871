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
_FORMAT: Final = 5


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
    """What earlier runs made, in a folder."""

    def __init__(self, folder: Path, locations: Locations) -> None:
        """Takes the folder, which is made when something is kept, and where buckets are."""
        self._folder = folder
        self._locations = locations

    def find(self, key: str) -> Outputs | None:
        """Returns what was made for a fingerprint, if all of it is still there."""
        try:
            entry: dict[str, Any] = json.loads(self._path(key).read_text(encoding="utf-8"))
            made, present = Outputs(entry["artifacts"], entry["parameters"]), entry["present"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return made if all(Path(path).exists() for path in present) else None

    def keep(self, key: str, outputs: Outputs) -> None:
        """Remembers what was made for a fingerprint.

        A task may leave an artifact unwritten; such a one need not be there later.
        """
        paths = [self._locations.local(record["uri"]) for record in outputs.artifacts.values()]
        entry = {
            "artifacts": dict(outputs.artifacts),
            "parameters": dict(outputs.parameters),
            "present": [path for path in paths if Path(path).exists()],
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(entry, indent=1, sort_keys=True)
        atomic_file.write_text(self._path(key), text)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
