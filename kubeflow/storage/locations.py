"""Where remote locations are on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubeflow.storage.mounts import with_texts
from kubeflow.targets import SCHEMES
from pipeline.config.errors import UserError

# An address may stand inside JSON or another text.
_REMOTE: Final = re.compile(rf"\b(?P<scheme>{'|'.join(SCHEMES)})://(?P<rest>[^\s\"'\\,;<>{{}}]*)")


@dataclass(frozen=True)
class Locations:
    """Folders of this machine in the place of buckets.

    Attributes:
        default: the folder for all that no mapping covers.
        mapped: folders by remote location.
    """

    default: Path
    mapped: tuple[tuple[str, Path], ...] = ()

    def local(self, text: str) -> str:
        """Returns a text with paths in place of the remote locations in it."""
        return _REMOTE.sub(self._path, text)

    def local_value(self, value: Any) -> Any:
        """Returns a JSON value with paths in place of the remote locations in its texts."""
        return with_texts(value, self.local)

    def remote(self, path: str) -> str:
        """Returns the address that `local` has made a path of; anything else stays what it is."""
        folders = [(str(folder), remote) for remote, folder in self.mapped]
        folders += [(f"{self.default}/{scheme}", f"{scheme}:/") for scheme in SCHEMES]
        covering = [
            (folder, remote)
            for folder, remote in folders
            if path == folder or path.startswith(f"{folder}/")
        ]
        if not covering:
            return path
        folder, remote = max(covering, key=lambda entry: len(entry[0]))
        return remote + path.removeprefix(folder)

    def remote_value(self, value: Any) -> Any:
        """Returns a JSON value with remote locations in place of the paths that are texts of it."""
        return with_texts(value, self.remote)

    def _path(self, found: re.Match[str]) -> str:
        uri = found[0]
        covering = [
            (remote, folder)
            for remote, folder in self.mapped
            if uri == remote or uri.startswith(f"{remote}/")
        ]
        if covering:
            remote, folder = max(covering, key=lambda entry: len(entry[0]))
            return f"{folder}{uri[len(remote) :]}"
        return f"{self.default}/{found['scheme']}/{found['rest']}"


def parse(default: Path, mappings: Iterable[str]) -> Locations:
    """Returns the locations that `REMOTE=DIR` entries describe.

    Args:
        default: the folder for all that no entry covers.
        mappings: the entries; of several that cover an address the longest counts.

    Raises:
        UserError: an entry is none, or a remote location has two folders.
    """
    found: dict[str, Path] = {}
    for entry in mappings:
        remote, _, folder = entry.partition("=")
        remote = remote.rstrip("/")
        if not _REMOTE.fullmatch(remote) or remote.endswith(":") or not folder:
            schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise UserError(f"--map {entry}: expected REMOTE=DIR with REMOTE one of {schemes}…")
        if remote in found:
            raise UserError(f"--map {entry}: {remote} is mapped to {found[remote]} already")
        # Nothing is resolved: a link that the user names is what messages should show.
        try:
            found[remote] = Path(os.path.abspath(Path(folder).expanduser()))
        except RuntimeError as error:
            raise UserError(f"--map {entry}: {folder.partition('/')[0]} is no user") from error
    return Locations(default, tuple(found.items()))
