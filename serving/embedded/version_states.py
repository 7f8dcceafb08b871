"""In which state each version of the model is, as GetModelStatus tells it."""

from __future__ import annotations

import threading
from typing import Final, TypeAlias

import grpc
from tensorflow_serving.apis import get_model_status_pb2

_Status: TypeAlias = get_model_status_pb2.ModelVersionStatus

# Ended versions beyond that are forgotten, the oldest first.
_MAX_ENDED: Final = 100


class VersionStates:
    """The last state of each version; written by the watcher, read by requests."""

    def __init__(self) -> None:
        """No version yet."""
        self._lock = threading.Lock()
        self._statuses: dict[int, _Status] = {}

    def loading(self, number: int) -> None:
        """It is being loaded and warmed."""
        self._set(number, _Status.LOADING)

    def available(self, number: int) -> None:
        """It answers requests."""
        self._set(number, _Status.AVAILABLE)

    def unloading(self, number: int) -> None:
        """It answers no new requests."""
        self._set(number, _Status.UNLOADING)

    def ended(self, number: int, error: str = "") -> None:
        """It is not in memory: unloaded, or not loaded because of an error."""
        self._set(number, _Status.END, error)

    def all(self) -> list[_Status]:
        """Newest version first."""
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
