"""Which versions answer requests: the one that a request means, and when one may be unloaded."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tensorflow_serving.apis import model_pb2

from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.request_errors import (
    invalid,
    quoted,
    unknown_label,
    unknown_model,
    unknown_version,
)


@dataclass
class _Served:
    version: LoadedVersion
    requests: int = 0


class ServedVersions:
    """Versions by number; one is unloaded only after its last request is answered."""

    def __init__(self) -> None:
        """Starts with no version."""
        self._lock = threading.Lock()
        self._served: dict[int, _Served] = {}
        self._limit: int | None = None
        self._retired: list[_Served] = []

    def numbers(self) -> set[int]:
        """Returns the numbers of the versions that answer new requests."""
        with self._lock:
            return set(self._served)

    def newest(self) -> int | None:
        """Returns the highest number up to the limit, or None if no version answers."""
        with self._lock:
            return self._newest()

    def limit(self, number: int | None) -> None:
        """Lets no newer version answer requests that name none, as soon as another can.

        Args:
            number: Number of the pinned version; None sets no limit.
        """
        with self._lock:
            self._limit = number

    def publish(self, version: LoadedVersion) -> None:
        """Lets a version answer requests from now on."""
        with self._lock:
            self._served[version.number] = _Served(version)

    def retire(self, number: int) -> None:
        """Lets a version answer no new requests from now on."""
        with self._lock:
            self._retired.append(self._served.pop(number))

    def unload_idle(self) -> list[int]:
        """Unloads the retired versions without requests in flight and returns their numbers."""
        with self._lock:
            idle = [served for served in self._retired if not served.requests]
            self._retired = [served for served in self._retired if served.requests]
        for served in idle:
            served.version.close()
        if idle:
            # A loaded model refers to itself.
            gc.collect()
        return [served.version.number for served in idle]

    @contextmanager
    def lease(self, number: int | None) -> Iterator[LoadedVersion | None]:
        """Keeps a version loaded inside the block.

        The version is chosen and counted in one step, so that no swap can come in between.

        Args:
            number: Number of the version; None for the newest.

        Yields:
            The version, or None if it is not served.
        """
        with self._lock:
            chosen = self._newest() if number is None else number
            served = None if chosen is None else self._served.get(chosen)
            if served is not None:
                served.requests += 1
        try:
            yield None if served is None else served.version
        finally:
            if served is not None:
                with self._lock:
                    served.requests -= 1

    def _newest(self) -> int | None:
        newest = max(self._served, default=None)
        if self._limit is None:
            return newest
        return max((n for n in self._served if n <= self._limit), default=newest)


class ModelSpecs:
    """Finds the version that a request's ModelSpec means, with TensorFlow Serving's codes."""

    def __init__(self, model_name: str, labels: Mapping[str, int], served: ServedVersions) -> None:
        """Takes the server's only model.

        Args:
            model_name: Name of the model in requests.
            labels: Version numbers by label.
            served: Versions that answer.
        """
        self.model_name = model_name
        self._labels = labels
        self._served = served

    def number(self, spec: model_pb2.ModelSpec) -> int | None:
        """Returns the version's number, or None if the request gives neither number nor label.

        Raises:
            RequestError: INVALID_ARGUMENT; the model has no name, or the label is unknown.
        """
        if not spec.name:
            raise invalid(f"ModelSpec has no name: expected {quoted(self.model_name)}")
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            return None
        if choice == "version":
            return spec.version.value
        known = self._labels if spec.name == self.model_name else {}
        if spec.version_label not in known:
            raise unknown_label(spec.version_label, known)
        return known[spec.version_label]

    def newest(self) -> int | None:
        """Returns the number of the version that answers requests without one, if any."""
        return self._served.newest()

    @contextmanager
    def lease(self, spec: model_pb2.ModelSpec) -> Iterator[LoadedVersion]:
        """Keeps the version loaded inside the block.

        Yields:
            The version.

        Raises:
            RequestError: INVALID_ARGUMENT; the model has no name, or the label is unknown.
                NOT_FOUND; the model is another, or the version is not loaded.
        """
        number = self.number(spec)
        if spec.name != self.model_name:
            raise unknown_model(spec.name, number, self.model_name)
        with self._served.lease(number) as version:
            if version is None:
                raise unknown_version(spec.name, number, self._served.numbers())
            yield version
