"""The folder that holds everything a run writes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pipeline.config.errors import UserError

ARTIFACTS_FOLDER: Final = "artifacts"
"""Name of the folder of a workspace that has the outputs of the steps."""

_PATTERN_CHARACTERS = frozenset("*?[]")


@dataclass(frozen=True)
class Workspace:
    """Paths below the folder.

    Raises:
        UserError: The path has a character that TFX and Beam read as a pattern of many files, or
            is not in UTF-8.
    """

    root: Path

    def __post_init__(self) -> None:
        """Checks the path."""
        path = str(self.root.absolute())
        if set(path) & _PATTERN_CHARACTERS:
            raise UserError(
                f"--workspace {self.root}: {path} has one of the characters * ? [ ], which TFX and "
                "Beam read as a pattern; take a folder without them"
            )
        try:
            path.encode()
        except UnicodeEncodeError as error:
            # No record of a path could have it.
            raise UserError(
                f"--workspace {self.root}: {path} is not in UTF-8; take a folder whose name is"
            ) from error

    @property
    def metadata_db(self) -> Path:
        """The SQLite database of ML Metadata."""
        return self.root / "metadata.db"

    @property
    def artifacts(self) -> Path:
        """Outputs of the steps."""
        return self.root / ARTIFACTS_FOLDER

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of interrupted trainings."""
        return self.root / "checkpoints"

    @property
    def runs(self) -> Path:
        """One folder for each run, with its summary, configuration, log and report."""
        return self.root / "runs"

    def serving(self, model_name: str) -> Path:
        """Returns the folder of a model's versions, in the layout that TF Serving watches."""
        return self.root / "serving" / model_name

    def new_run(self) -> Path:
        """Makes and returns the folder of a run that starts now; its name is the run's id."""
        self.runs.mkdir(parents=True, exist_ok=True)
        started = datetime.now().strftime("%Y%m%d-%H%M%S")
        for suffix in ["", *(f"-{number}" for number in range(2, 100))]:
            folder = self.runs / f"{started}{suffix}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise UserError(f"{self.runs}: cannot name a new run: {started} is taken 99 times")

    def require_existing(self) -> None:
        """Checks that something has run in the folder; another one may have folders of these names.

        Raises:
            UserError: Nothing has.
        """
        if not (self._lock.exists() or self.metadata_db.exists()):
            raise UserError(
                f"--workspace {self.root}: it is no workspace; expected the folder of a run"
            )

    @property
    def _lock(self) -> Path:
        return self.root / ".lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second run out of this workspace.

        Raises:
            UserError: Another process holds the lock, or the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = self._lock.open("a+", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--workspace {self.root}: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise UserError(
                    f"--workspace {self.root}: process {lock.read().strip()} is running in it; "
                    "wait for it or take another workspace"
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
