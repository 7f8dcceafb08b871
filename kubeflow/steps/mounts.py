"""Artifacts of a cloud's storage as the files that a platform makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.config.locations import OBJECT_STORES

# Vertex AI mounts buckets there; the launcher of Kubeflow Pipelines copies a step's inputs there
# before it, and its outputs from there after it.
MOUNTS: Final = {"gs": "/gcs", **{scheme: f"/{scheme}" for scheme in OBJECT_STORES}}

_SEPARATOR: Final = "://"


class Mounts:
    """The mounts that this machine has, of those that a platform may make."""

    def __init__(self, possible: Mapping[str, str]) -> None:
        """The mounts of a machine.

        Args:
            possible: folder by scheme; those that are not there do not count.
        """
        self._folders = {
            scheme: folder for scheme, folder in possible.items() if Path(folder).is_dir()
        }

    def path(self, uri: str) -> str:
        """The file or folder of a URI; the URI itself where it is not mounted."""
        scheme, separator, rest = uri.partition(_SEPARATOR)
        if separator and scheme in self._folders:
            return f"{self._folders[scheme]}/{rest}"
        return uri

    def uri(self, path: str) -> str:
        """The URI that `path` has made a path of."""
        for scheme, folder in self._folders.items():
            if path.startswith(f"{folder}/"):
                return f"{scheme}{_SEPARATOR}{path.removeprefix(f'{folder}/')}"
        return path

    def mounted(self, executor_input: dict[str, Any]) -> dict[str, Any]:
        """An ExecutorInput with paths in place of URIs, and a name for each artifact.

        A blessing refers to its model by name, which Kubeflow Pipelines does not give: such an
        artifact is named by its URI.
        """
        copy: dict[str, Any] = json.loads(json.dumps(executor_input))
        for artifact in _artifacts(copy.get("inputs", {}), copy.get("outputs", {})):
            if not artifact.get("name"):
                artifact["name"] = artifact["uri"]
            artifact["uri"] = self.path(artifact["uri"])
        outputs = copy.get("outputs", {})
        if "outputFile" in outputs:
            outputs["outputFile"] = self.path(outputs["outputFile"])
        return copy

    def unmounted(self, executor_output: dict[str, Any]) -> dict[str, Any]:
        """An ExecutorOutput with URIs in place of paths, in what its artifacts say of others too.

        Args:
            executor_output: of a step that was given what `mounted` returns.
        """
        return _with_texts(executor_output, self.uri)


def _artifacts(*sides: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for side in sides:
        for listed in side.get("artifacts", {}).values():
            yield from listed.get("artifacts", ())


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_texts(entry, change) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_texts(entry, change) for entry in value]
    return change(value) if isinstance(value, str) else value
