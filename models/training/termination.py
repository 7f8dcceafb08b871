"""Noticing that the process is told to terminate, as a preempted worker is."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class TerminationFlag:
    """While entered, SIGTERM sets a flag instead of ending the process.

    Signals reach the main thread alone; entered in another, the flag is never set.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._previous: object = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._set)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._previous)  # type: ignore[arg-type]

    def is_set(self) -> bool:
        """Whether SIGTERM came."""
        return self._event.is_set()

    def _set(self, number: int, frame: FrameType | None) -> None:
        self._event.set()
