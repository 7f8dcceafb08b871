"""Which versions answer requests, and how many requests each has in hand."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serving.embedded.loaded_version import LoadedVersion


@dataclass
class _Served:
    version: LoadedVersion
    requests: int = 0


class ServedVersions:
    """Hands out versions, and lets go of one only when its last request is answered."""

    def __init__(self) -> None:
        """No version yet."""
        self._lock = threading.Lock()
        self._served: dict[int, _Served] = {}
        self._retired: list[_Served] = []

    def numbers(self) -> set[int]:
        """Of the versions that answer new requests."""
        with self._lock:
            return set(self._served)

    def newest(self) -> int | None:
        """The highest number, whose version answers requests that name none; None if none does."""
        with self._lock:
            return self._newest()

    def publish(self, version: LoadedVersion) -> None:
        """From now on it answers requests."""
        with self._lock:
            self._served[version.number] = _Served(version)

    def retire(self, number: int) -> None:
        """From now on it answers no new requests."""
        with self._lock:
            self._retired.append(self._served.pop(number))

    def unload_idle(self) -> list[int]:
        """Unloads the retired versions that have no request in hand; returns their numbers."""
        with self._lock:
            idle = [served for served in self._retired if not served.requests]
            self._retired = [served for served in self._retired if served.requests]
        for served in idle:
            served.version.close()
        if idle:
            # A loaded model holds on to itself.
            gc.collect()
        return [served.version.number for served in idle]

    @contextmanager
    def lease(self, number: int | None) -> Iterator[LoadedVersion | None]:
        """A version that stays loaded meanwhile: by its number, or the newest; None if not served.

        It is chosen and taken at once: no swap can come in between.
        """
        with self._lock:
            chosen = self._newest() if number is None else number
            found = None if chosen is None else self._served.get(chosen)
            if found is not None:
                found.requests += 1
        try:
            yield None if found is None else found.version
        finally:
            if found is not None:
                with self._lock:
                    found.requests -= 1

    def _newest(self) -> int | None:
        return max(self._served, default=None)
