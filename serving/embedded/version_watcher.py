"""Loads new versions from the model's folder, unloads the others, and keeps their states.

Each version is loaded in a thread of its own, so that one that loads slowly delays no other. How
often it looks is `serving.server_options.ServerOptions.poll_seconds`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from tensorflow_serving.apis import get_model_status_pb2

from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.request_errors import load_error_code, public_text
from serving.embedded.served_versions import ServedVersions
from serving.errors import ServingError, UnreadableModelError
from serving.version_pin import read_pin
from serving.versions import version_number, versions

_LOGGER: Final = logging.getLogger(__name__)

# Seconds after which a version that is being loaded holds back neither the start of the server nor,
# while nothing answers, an older version.
SLOW_SECONDS: Final = 10.0
# Seconds between two looks while the server starts.
_FIRST_POLL_SECONDS: Final = 1.0
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

    def ended(self, number: int) -> None:
        """Notes that a version is not in memory any more."""
        self._set(number, _Status.END)

    def failed(self, number: int, code: int, error: str) -> None:
        """Notes that a version was not loaded because of an error.

        Args:
            number: Number of the version.
            code: Error's status code, as in gRPC and TensorFlow.
            error: Text of the error, for clients.
        """
        self._set(number, _Status.END, code, error)

    def all(self) -> list[_Status]:
        """Returns the states, newest version first."""
        with self._lock:
            return [self._statuses[number] for number in sorted(self._statuses, reverse=True)]

    def _set(self, number: int, state: int, code: int = 0, error: str = "") -> None:
        status = _Status(version=number, state=state)
        status.status.error_code = code
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


class _Load:
    """A version that is being loaded, in a thread of its own."""

    def __init__(
        self, contents: _Contents, load: Callable[[], LoadedVersion], wake: threading.Event
    ) -> None:
        """Starts to load.

        Args:
            contents: Contents of the version's folder, read before.
            load: Function that loads the version.
            wake: Event to set when the version is loaded, or is known not to load.
        """
        self.contents = contents
        self._started = time.monotonic()
        self._result: Future[LoadedVersion] = Future()
        self._result.add_done_callback(lambda _: wake.set())
        # The threads of an executor would keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=(load,), name="version-loader", daemon=True
        )
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the version is loaded, or is known not to load."""
        return self._result.done()

    @property
    def slow(self) -> bool:
        """Whether others no longer wait for the version."""
        return time.monotonic() >= self._started + SLOW_SECONDS

    @property
    def error(self) -> BaseException | None:
        """Reason why the version is not loaded; None if it is."""
        return self._result.exception()

    @property
    def version(self) -> LoadedVersion:
        """The loaded version."""
        return self._result.result()

    def join(self, seconds: float) -> None:
        """Waits at most that long for the end of the thread."""
        self._thread.join(seconds)

    def _run(self, load: Callable[[], LoadedVersion]) -> None:
        try:
            self._result.set_result(load())
        except Exception as error:  # noqa: BLE001 - a damaged model may fail in any way
            self._result.set_exception(error)


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
        self._pinned: int | None = None
        self._loads: dict[int, _Load] = {}
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def failed(self) -> list[int]:
        """Returns the numbers of the versions that should answer and do not load; any thread may.

        One above the pin should not, nor one below the version that answers.
        """
        allowed = [number for number in self._served.numbers() if self._is_allowed(number)]
        newest = max(allowed, default=-1)
        return [
            number
            for number in list(self._failed)
            if number in self._labelled or (number > newest and self._is_allowed(number))
        ]

    def _is_allowed(self, number: int) -> bool:
        return self._pinned is None or number <= self._pinned

    def load_first(self) -> None:
        """Looks until all versions that are wanted have been tried; a slow one is not waited for.

        Afterwards a version answers, unless none can be loaded.
        """
        while True:
            self._wake.clear()
            self.poll()
            waited_for = [load for load in self._loads.values() if not load.slow]
            if not self._loads or (self._served.numbers() and not waited_for):
                return
            self._wake.wait(_FIRST_POLL_SECONDS)

    def poll(self) -> None:
        """Looks once: takes the versions that are loaded, starts to load others, unloads others."""
        before = self._served.numbers()
        self._take_loaded()
        try:
            available = self._available()
            pinned = read_pin(self._base_path).version
        except (OSError, ServingError) as error:
            # The served versions stay: the volume may come back.
            reason = error.strerror if isinstance(error, OSError) else error
            _LOGGER.warning("%s: cannot be read (%s)", self._base_path, reason)
        else:
            self._failed = {
                number: failure for number, failure in self._failed.items() if number in available
            }
            self._pinned = pinned
            self._served.limit(pinned)
            for number in sorted(self._served.numbers() - self._wanted(available)):
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
        """Stops looking, and waits a little for versions that are being loaded.

        Args:
            seconds: Longest time to wait.

        Returns:
            Whether no version is being loaded any more.
        """
        end = time.monotonic() + min(seconds, _STOP_SECONDS)
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(max(0.0, end - time.monotonic()))
            if self._thread.is_alive():
                return False
        for load in self._loads.values():
            load.join(max(0.0, end - time.monotonic()))
        return all(load.done for load in self._loads.values())

    def _watch(self, poll_seconds: float) -> None:
        while True:
            # A version that is loaded takes over at once.
            self._wake.wait(poll_seconds)
            self._wake.clear()
            if self._stopped:
                return
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
        return {
            number: folder
            for folder in versions(self._base_path)
            if (number := version_number(folder.name)) is not None
        }

    def _wanted(self, available: dict[int, Path]) -> set[int]:
        """Starts to load the versions to serve, and returns the numbers of those that are served.

        What is served stays while a newer version is being loaded, and if none loads: an old
        answer is better than none.
        """
        wanted = {
            number
            for number in sorted(self._labelled & available.keys())
            if self._is_served(number, available[number])
        }
        awaited = False
        for number in sorted(available, reverse=True):
            if not self._is_allowed(number):
                continue
            if number in self._served.numbers():
                return wanted | {number}
            if not awaited:
                self._is_served(number, available[number])
                awaited = self._is_awaited(number)
        return wanted | self._served.numbers() if awaited or not wanted else wanted

    def _is_awaited(self, number: int) -> bool:
        """Returns whether a version is being loaded, and no older one is to be loaded meanwhile."""
        load = self._loads.get(number)
        return load is not None and not (load.slow and not self._served.numbers())

    def _is_served(self, number: int, folder: Path) -> bool:
        """Returns whether a version is served; if not, starts to load it if that may be tried."""
        if number in self._served.numbers():
            return True
        if number in self._loads:
            return False
        try:
            # Read before loading: a file that changes meanwhile is a reason to try again.
            contents = _contents(folder)
        except OSError:
            # It is being written or deleted.
            return False
        failure = self._failed.get(number)
        if failure is None or failure.contents != contents or failure.may_be_tried():
            self._states.loading(number)
            self._loads[number] = _Load(contents, partial(self._load, number, folder), self._wake)
        return False

    def _take_loaded(self) -> None:
        """Lets the versions answer whose loading has ended, and notes those that failed."""
        for number in [number for number, load in self._loads.items() if load.done]:
            load = self._loads.pop(number)
            if load.error is not None:
                self._note_failure(number, load.contents, load.error)
                continue
            self._failed.pop(number, None)
            self._served.publish(load.version)
            self._states.available(number)
            _LOGGER.info("version %d is served", number)

    def _note_failure(self, number: int, contents: _Contents, error: BaseException) -> None:
        expected = isinstance(error, UnreadableModelError)
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        former = self._failed.get(number)
        attempts = former.attempts if former is not None and former.contents == contents else 0
        self._failed[number] = _Failure(contents, attempts + 1, time.monotonic())
        self._states.failed(number, load_error_code(error), public_text(reason, self._base_path))
        _LOGGER.warning(
            "version %d is not served: %s", number, reason, exc_info=None if expected else error
        )


def _contents(folder: Path) -> _Contents:
    stats = [(str(path), _stat(path)) for path in sorted(folder.rglob("*"))]
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def _stat(path: Path) -> os.stat_result:
    """Returns the status of a file, or of a link that leads nowhere."""
    try:
        return path.stat()
    except OSError:
        return path.lstat()
