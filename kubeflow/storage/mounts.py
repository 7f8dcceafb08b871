"""Artifacts of a cloud's storage as the files that a platform makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.config.locations import OBJECT_STORES

# The launcher of Kubeflow Pipelines copies a step's inputs there before it, and its outputs from
# there after it. Vertex AI mounts buckets there, with what their storage cannot do: by default a
# folder cannot be renamed, and a user who is not root may not be allowed to write.
MOUNTS: Final = {"gs": "/gcs", **{scheme: f"/{scheme}" for scheme in OBJECT_STORES}}

_SEPARATOR: Final = "://"


class Mounts:
    """The folders that a platform makes of a cloud's storage."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        """Takes the folders.

        Args:
            folders: by scheme; one need not be there.
        """
        self._folders = folders

    def path(self, uri: str) -> str:
        """Returns the file or folder of a URI; the URI itself where it is not mounted."""
        scheme, separator, rest = uri.partition(_SEPARATOR)
        folder = self._folders.get(scheme)
        if separator and folder is not None and Path(folder).is_dir():
            return f"{folder}/{rest}"
        return uri

    def uri(self, path: str) -> str:
        """Returns the URI of a file or folder of a mount; anything else stays what it is."""
        for scheme, folder in self._folders.items():
            if path.startswith(f"{folder}/"):
                return f"{scheme}{_SEPARATOR}{path.removeprefix(f'{folder}/')}"
        return path

    def mounted(self, executor_input: dict[str, Any]) -> dict[str, Any]:
        """Returns an ExecutorInput with paths in place of URIs, and a name for each artifact."""
        return _placed(executor_input, self.path)

    def addressed(self, executor_input: dict[str, Any]) -> dict[str, Any]:
        """Returns an ExecutorInput with URIs in place of paths, and a name for each artifact."""
        return _placed(executor_input, self.uri)

    def unmounted(self, executor_output: dict[str, Any]) -> dict[str, Any]:
        """Returns an ExecutorOutput with URIs in place of paths, also in metadata.

        Args:
            executor_output: ExecutorOutput of a step whose ExecutorInput came from `mounted`.
        """
        return with_texts(executor_output, self.uri)


def _placed(executor_input: dict[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """Returns an ExecutorInput whose artifacts and output file are elsewhere.

    A blessing refers to its model by name, which not every platform gives: such an artifact is
    named by its URI.
    """
    copy: dict[str, Any] = json.loads(json.dumps(executor_input))
    for artifact in _artifacts(copy.get("inputs", {}), copy.get("outputs", {})):
        if not artifact.get("name"):
            artifact["name"] = artifact["uri"]
        artifact["uri"] = place(artifact["uri"])
    outputs = copy.get("outputs", {})
    if "outputFile" in outputs:
        outputs["outputFile"] = place(outputs["outputFile"])
    return copy


def _artifacts(*sides: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for side in sides:
        for listed in side.get("artifacts", {}).values():
            yield from listed.get("artifacts", ())


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Returns a JSON value with other texts in it."""
    if isinstance(value, dict):
        return {key: with_texts(entry, change) for key, entry in value.items()}
    if isinstance(value, list):
        return [with_texts(entry, change) for entry in value]
    return change(value) if isinstance(value, str) else value
