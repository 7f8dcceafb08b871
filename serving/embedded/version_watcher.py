"""Loads new versions from the model's folder, unloads the others, and keeps their states.

How often it looks is `serving.server_options.ServerOptions.poll_seconds`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import grpc
from tensorflow_serving.apis import get_model_status_pb2

from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.served_versions import ServedVersions
from serving.errors import ServingError, UnreadableModelError
from serving.version_pin import read_pin
from serving.versions import versions

_LOGGER: Final = logging.getLogger(__name__)

# Seconds that a version being loaded may delay the end of the server.
_STOP_SECONDS: Final = 5.0

# TensorFlow Serving's values. A lack of memory or of open files may be over after a while, and no
# error says for certain that it will not be.
RETRIES: Final = 5
RETRY_SECONDS: Final = 60.0
# Ended versions beyond this number are forgotten, the oldest first.
_MAX_ENDED: Final = 100

_Status: TypeAlias = get_model_status_pb2.ModelVersionStatus
# Path, size and time of each file in a version's folder.
_Contents: TypeAlias = tuple[tuple[str, int, int], ...]


class VersionStates:
    """The last state of each version; the watcher writes it, and requests read it."""

    def __init__(self) -> None:
        """Starts with no version."""
        self._lock = threading.Lock()
        self._statuses: dict[int, _Status] = {}

    def loading(self, number: int) -> None:
        """Notes that a version is being loaded and warmed up."""
        self._set(number, _Status.LOADING)

    def available(self, number: int) -> None:
        """Notes that a version answers requests."""
        self._set(number, _Status.AVAILABLE)

    def unloading(self, number: int) -> None:
        """Notes that a version answers no new requests."""
        self._set(number, _Status.UNLOADING)

    def ended(self, number: int, error: str = "") -> None:
        """Notes that a version is not in memory: unloaded, or not loaded because of an error."""
        self._set(number, _Status.END, error)

    def all(self) -> list[_Status]:
        """Returns the states, newest version first."""
        with self._lock:
            return [self._statuses[number] for number in sorted(self._statuses, reverse=True)]

    def _set(self, number: int, state: int, error: str = "") -> None:
        status = _Status(version=number, state=state)
        if error:
            status.status.error_code = grpc.StatusCode.UNKNOWN.value[0]
            status.status.error_message = error
        with self._lock:
            self._statuses[number] = status
            ended = [
                number for number, known in self._statuses.items() if known.state == _Status.END
            ]
            for forgotten in sorted(ended)[:-_MAX_ENDED]:
                del self._statuses[forgotten]


@dataclass(frozen=True)
class _Failure:
    """A version that could not be loaded.

    Attributes:
        contents: Contents of its folder.
        attempts: Number of attempts with these contents.
        at: Time of the last attempt, in seconds of `time.monotonic`.
    """

    contents: _Contents
    attempts: int
    at: float

    def may_be_tried(self) -> bool:
        """Returns whether it may be tried again now, with the same contents."""
        return self.attempts <= RETRIES and time.monotonic() >= self.at + RETRY_SECONDS


class VersionWatcher:
    """Keeps the newest version that loads, and those that have a label, in `served`.

    If a version is pinned, newer ones are not loaded, unless they have a label.
    """

    def __init__(
        self,
        base_path: Path,
        labelled: Collection[int],
        load: Callable[[int, Path], LoadedVersion],
        served: ServedVersions,
        states: VersionStates,
        on_change: Callable[[], None],
    ) -> None:
        """Prepares to look; `poll` and `start` do.

        Args:
            base_path: Folder of the versions.
            labelled: Numbers of versions to load beside the newest.
            load: Function of a version's number and folder that loads it. A version for which it
                raises anything, UnreadableModelError or not, is not served.
            served: Versions that answer, kept up to date.
            states: State of each version, kept up to date.
            on_change: Function called after `served` has changed.
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
        """Looks once: loads the new versions that are wanted, then unloads the others."""
        try:
            available = self._available()
            pinned = read_pin(self._base_path).version
        except (OSError, ServingError) as error:
            # The served versions stay: the volume may come back.
            reason = error.strerror if isinstance(error, OSError) else error
            _LOGGER.warning("%s: cannot be read (%s)", self._base_path, reason)
            return
        before = self._served.numbers()
        self._failed = {
            number: failure for number, failure in self._failed.items() if number in available
        }
        self._served.limit(pinned)
        wanted = self._wanted(available, pinned)
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
        """Looks regularly, in a thread.

        Args:
            poll_seconds: Seconds between two looks.
        """
        self._thread = threading.Thread(
            target=self._watch, args=(poll_seconds,), name="version-watcher", daemon=True
        )
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Stops looking, and waits a little for a version that is being loaded.

        Args:
            seconds: Longest time to wait.

        Returns:
            Whether no version is being loaded any more.
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
                # Without this the thread would end unnoticed, and no version would be loaded any
                # more. The served versions go on meanwhile.
                _LOGGER.exception(
                    "%s: looking for versions failed; it is tried again", self._base_path
                )

    def _available(self) -> dict[int, Path]:
        if not self._base_path.is_dir():
            raise FileNotFoundError(0, "there is no such folder")
        return {int(folder.name): folder for folder in versions(self._base_path)}

    def _wanted(self, available: dict[int, Path], pinned: int | None) -> set[int]:
        """Loads the versions to serve now and returns their numbers.

        If none loads, the served versions stay: an old answer is better than none.
        """
        wanted = {
            number
            for number in sorted(self._labelled & available.keys())
            if self._is_served(number, available[number])
        }
        for number in sorted(available, reverse=True):
            if pinned is not None and number > pinned:
                continue
            if self._is_served(number, available[number]):
                return wanted | {number}
        return wanted or self._served.numbers()

    def _is_served(self, number: int, folder: Path) -> bool:
        """Returns whether a version is served, after loading it if that may be tried."""
        if number in self._served.numbers():
            return True
        try:
            # Read before loading: a file that changes meanwhile is a reason to try again.
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
            # A damaged model may fail in any way, and the other versions must be served.
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
