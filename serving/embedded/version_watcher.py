"""Loads the versions of the model as they come into its folder, and lets go of the others."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.served_versions import ServedVersions
from serving.embedded.version_states import VersionStates
from serving.errors import UnreadableModelError
from serving.versions import versions

_LOGGER: Final = logging.getLogger(__name__)

# Of a version, in requests.
_MAX_NUMBER: Final = 2**63 - 1
# Seconds that a version being loaded may hold up the end.
_STOP_SECONDS: Final = 5.0

# As TensorFlow Serving has them: what keeps a version from being loaded may be gone in a while, as
# want of memory or of open files, and no error says for certain that it will not.
_RETRIES: Final = 5
_RETRY_SECONDS: Final = 60.0

# What a folder holds: path, size and time of each file.
_Contents = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class _Failure:
    """Of a version that has not been loaded.

    Attributes:
        contents: of its folder.
        attempts: how often it has been tried with these.
        at: in seconds of `time.monotonic`, the last time.
    """

    contents: _Contents
    attempts: int
    at: float

    def may_be_tried(self) -> bool:
        """Now, while the folder holds the same."""
        return self.attempts <= _RETRIES and time.monotonic() >= self.at + _RETRY_SECONDS


class VersionWatcher:
    """Keeps the newest version that loads, and those that have a label, in `served`."""

    def __init__(
        self,
        base_path: Path,
        labelled: Collection[int],
        load: Callable[[int, Path], LoadedVersion],
        served: ServedVersions,
        states: VersionStates,
        on_change: Callable[[], None],
    ) -> None:
        """Does not look yet.

        Args:
            base_path: the folder of the versions.
            labelled: numbers of versions that are loaded beside the newest.
            load: of a version's number and folder; raises UnreadableModelError. A version of which
                it raises anything else is not served either.
            served: is kept up to date.
            states: is kept up to date.
            on_change: is called after `served` has changed.
        """
        self._base_path = base_path
        self._labelled = frozenset(labelled)
        self._load = load
        self._served = served
        self._states = states
        self._on_change = on_change
        self._failed: dict[int, _Failure] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def poll(self) -> None:
        """Looks once: loads what is new and wanted, before it lets go of what is not."""
        try:
            available = self._available()
        except OSError as error:
            # What is served stays: the volume may come back.
            _LOGGER.warning("%s: cannot be read (%s)", self._base_path, error.strerror)
            return
        before = self._served.numbers()
        self._failed = {
            number: failure for number, failure in self._failed.items() if number in available
        }
        wanted = self._wanted(available)
        for number in sorted(self._served.numbers() - wanted):
            self._states.unloading(number)
            self._served.retire(number)
        for number in self._served.unload_idle():
            if number not in self._served.numbers():
                self._states.ended(number)
                _LOGGER.info("version %d is unloaded", number)
        if self._served.numbers() != before:
            self._on_change()

    def start(self, poll_seconds: float) -> None:
        """Looks again and again, in a thread."""
        self._thread = threading.Thread(
            target=self._watch, args=(poll_seconds,), name="version-watcher", daemon=True
        )
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Looks no more; waits a little for a version being loaded.

        Args:
            seconds: to wait at most.

        Returns:
            Whether nothing is being loaded any more.
        """
        self._stopped.set()
        if self._thread is None:
            return True
        self._thread.join(min(seconds, _STOP_SECONDS))
        return not self._thread.is_alive()

    def _watch(self, poll_seconds: float) -> None:
        while not self._stopped.wait(poll_seconds):
            try:
                self.poll()
            except Exception:
                # Above this there is only the end of the thread: nobody would be told, and no
                # version would come any more. What is served goes on meanwhile.
                _LOGGER.exception("%s: looking for versions failed; tried again", self._base_path)

    def _available(self) -> dict[int, Path]:
        if not self._base_path.is_dir():
            raise FileNotFoundError(0, "there is no such folder")
        found = {int(folder.name): folder for folder in versions(self._base_path)}
        return {number: folder for number, folder in found.items() if number <= _MAX_NUMBER}

    def _wanted(self, available: dict[int, Path]) -> set[int]:
        """Those to be served now; they are loaded when this returns.

        If none is left that loads, what is served stays: an old answer is better than none.
        """
        wanted = {
            number
            for number in sorted(self._labelled & available.keys())
            if self._is_served(number, available[number])
        }
        for number in sorted(available, reverse=True):
            if self._is_served(number, available[number]):
                return wanted | {number}
        return wanted or self._served.numbers()

    def _is_served(self, number: int, folder: Path) -> bool:
        """Whether it is served, after loading it if that may be tried."""
        if number in self._served.numbers():
            return True
        try:
            # Before it is loaded: what changes meanwhile is a reason to try again.
            contents = _contents(folder)
        except OSError:
            # It is being written or deleted.
            return False
        failure = self._failed.get(number)
        if failure is None or failure.contents != contents:
            failure = _Failure(contents, attempts=0, at=-math.inf)
        if not failure.may_be_tried():
            return False
        self._states.loading(number)
        try:
            version = self._load(number, folder)
        except Exception as error:
            # What a damaged model may break cannot be listed, and the others are to be served.
            expected = isinstance(error, UnreadableModelError)
            reason = str(error) if expected else f"{type(error).__name__}: {error}"
            self._failed[number] = _Failure(contents, failure.attempts + 1, time.monotonic())
            self._states.ended(number, reason)
            _LOGGER.warning("version %d is not served: %s", number, reason, exc_info=not expected)
            return False
        self._served.publish(version)
        self._states.available(number)
        _LOGGER.info("version %d is served", number)
        return True


def _contents(folder: Path) -> _Contents:
    stats = [(str(path), path.stat()) for path in sorted(folder.rglob("*"))]
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)
