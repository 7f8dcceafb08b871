"""The machine that a cluster gives to one attempt of a task, as folders of this one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeflow.local_execution.artifacts import Record
from kubeflow.local_execution.platforms import Platform
from kubeflow.storage.locations import Locations
from kubeflow.storage.mounts import MOUNTS, Mounts
from kubeflow.storage.stand_in import StandIn
from pipeline.config.errors import UserError

# Where launchers of Kubeflow Pipelines have files that are no artifacts.
_OUTPUT_FILE: Final = "/tmp/kfp_outputs/output_metadata.json"
_PARAMETERS: Final = "/tmp/kfp/outputs"


@dataclass(frozen=True)
class Pod:
    """A machine with mounts and a `/tmp` of its own.

    Attributes:
        platform: Platform of the machine.
        locations: where buckets are on this machine.
        folder: in place of the machine's `/`.
    """

    platform: Platform
    locations: Locations
    folder: Path

    def environment(self) -> dict[str, str]:
        """Returns what tells the steps of this project where things are."""
        temporary = self.folder / "tmp"
        return {
            "TMPDIR": str(temporary),
            **StandIn(str(self.folder), self.locations).environment(),
        }

    def path(self, uri: str) -> str:
        """Returns the path that the platform has for an address; a path stays what it is."""
        return self._mounts.path(uri)

    def found(self, path: str) -> Path:
        """Returns the file or folder of this machine where `path` or an address leads."""
        if self.platform.copies:
            return Path(self.path(path))
        return Path(self.locations.local(self._mounts.uri(path)))

    def output_file(self, folder: str) -> str:
        """Returns the path of the ExecutorOutput.

        Args:
            folder: address of the task's outputs.
        """
        name = self.platform.output_file
        if name is None or (self.platform.copies and self.path(folder) == folder):
            return f"{self.folder}{_OUTPUT_FILE}"
        return self.path(f"{folder}/{name}")

    def parameter_file(self, folder: str, name: str) -> str:
        """Returns the path of the file for the value of an output parameter."""
        if self.platform.copies:
            return f"{self.folder}{_PARAMETERS}/{name}"
        return self.path(f"{folder}/parameters/{name}")

    def prepare(self, inputs: Iterable[Record], outputs: Iterable[str]) -> None:
        """Copies the input artifacts where a launcher does, and makes folders for the outputs.

        Args:
            inputs: artifacts that the task takes.
            outputs: places of what it makes; the last is of its ExecutorOutput, of which an
                earlier attempt may have left one.
        """
        if self.platform.copies:
            for record in inputs:
                self._copy(self.locations.local(record["uri"]), self.path(record["uri"]))
        places = [self.found(place) for place in outputs]
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
        places[-1].unlink(missing_ok=True)

    def collect(self, outputs: Iterable[Record]) -> None:
        """Copies the files of the output artifacts where a launcher does.

        Raises:
            UserError: The task has written on a mount that no launcher reads, or has made a link to
                a folder, which a launcher cannot upload.
        """
        if self.platform.copies:
            for record in outputs:
                self._copy(self.path(record["uri"]), self.locations.local(record["uri"]))
            return
        for scheme, folder in MOUNTS.items():
            written = os.listdir(f"{self.folder}{folder}")
            if written:
                raise UserError(
                    f"it wrote {folder}/{written[0]}; {self.platform.name} renames no folders "
                    f"there; expected {scheme}://"
                )

    @property
    def _mounts(self) -> Mounts:
        return Mounts(StandIn(str(self.folder)).mounts(MOUNTS))

    @staticmethod
    def _copy(source: str, target: str) -> None:
        """Copies files, and no folders: there are none in a bucket."""
        if source == target:
            return
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
        for folder, folders, names in os.walk(source):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            if links:
                raise UserError(
                    f"{os.path.join(folder, links[0])}: a link to a folder, which the launcher "
                    "cannot copy; expected a folder"
                )
            copied = os.path.join(target, os.path.relpath(folder, source))
            for name in names:
                os.makedirs(copied, exist_ok=True)
                shutil.copyfile(os.path.join(folder, name), os.path.join(copied, name))


@contextmanager
def started(platform: Platform, locations: Locations) -> Iterator[Pod]:
    """Yields a machine that is gone afterwards.

    Args:
        platform: Platform of the machine.
        locations: where buckets are on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="movierec-", ignore_cleanup_errors=True) as folder:
        Path(folder, "tmp").mkdir()
        for mount in StandIn(folder).mounts(MOUNTS).values():
            # Nothing depends on mounts that are no copies: whoever writes there fails, unless it
            # is root, which is noticed later.
            Path(mount).mkdir(0o755 if platform.copies else 0o555)
        yield Pod(platform, locations, Path(folder))
