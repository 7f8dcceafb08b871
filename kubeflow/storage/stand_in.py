"""Folders of this machine in the place of a platform's storage, as a task's process knows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubeflow.storage.locations import Locations

# Nothing in a cluster sets it.
_VARIABLE: Final = "MOVIEREC_STAND_IN"


@dataclass(frozen=True)
class StandIn:
    """What stands in for the mounts and the buckets of a platform.

    Attributes:
        root: the folder whose sub-folders are the mounts; nothing for `/` itself.
        locations: where buckets are on this machine; None if they are where they say.
    """

    root: str = ""
    locations: Locations | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> StandIn:
        """Returns what `environment` of the process that started this one says."""
        if _VARIABLE not in environment:
            return cls()
        told = json.loads(environment[_VARIABLE])
        if told["default"] is None:
            return cls(told["root"])
        mapped = tuple((remote, Path(folder)) for remote, folder in told["mapped"])
        return cls(told["root"], Locations(Path(told["default"]), mapped))

    def environment(self) -> dict[str, str]:
        """Returns the variable that `read` reads."""
        buckets = self.locations
        told = {
            "root": self.root,
            "default": buckets and str(buckets.default),
            "mapped": [(remote, str(folder)) for remote, folder in buckets.mapped]
            if buckets
            else [],
        }
        return {_VARIABLE: json.dumps(told)}

    @property
    def is_used(self) -> bool:
        """Whether this is a dry run."""
        return bool(self.root) or self.locations is not None

    def mounts(self, folders: Mapping[str, str]) -> dict[str, str]:
        """Returns the folders of mounts below the root.

        Args:
            folders: Folders of the platform by scheme.
        """
        return {scheme: f"{self.root}{folder}" for scheme, folder in folders.items()}

    def local(self, message: Any) -> Any:
        """Returns a JSON value with paths in place of the addresses of buckets."""
        return message if self.locations is None else self.locations.local_value(message)

    def remote(self, message: Any) -> Any:
        """Returns a JSON value with addresses of buckets in place of paths."""
        return message if self.locations is None else self.locations.remote_value(message)
