"""Runs commands as processes of their own, and ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

GRACE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05
_PYTHON: Final = ("python", "python3")


class Processes:
    """The processes of a run; may be used from several threads."""

    def __init__(self, impatient: threading.Event) -> None:
        """Starts nothing.

        Args:
            impatient: set when `end` is not to wait any longer; may be while it waits.
        """
        self._impatient = impatient
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Returns whether `end` was called."""
        return self._stopped.is_set()

    def run(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Runs a command to its end.

        Args:
            command: Program and arguments; `python` stands for this interpreter.
            environment: variables that are added to this process's.
            log: File that the output is added to.

        Returns:
            Its exit code, negative for the signal that ended it.

        Raises:
            OSError: it cannot be started.
        """
        first, *others = command
        program = sys.executable if first in _PYTHON else first
        with log.open("ab") as stream:
            with self._lock:
                if self.stopped:
                    return -signal.SIGTERM
                # In a session of its own it is ended with everything it has started, and a Ctrl-C
                # reaches it through us alone.
                process = subprocess.Popen(
                    [program, *others],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                return process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)

    def sleep(self, seconds: float) -> None:
        """Waits, not longer than until `end` is called."""
        self._stopped.wait(seconds)

    def end(self) -> None:
        """Ends every process, after some seconds at most, and lets none start any more."""
        self._stopped.set()
        with self._lock:
            running = list(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(process.poll() is None for process in running):
            if self._impatient.is_set() or time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        for process in running:
            # Its children too, which may have outlived it.
            _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Sends a signal to the process's session, which has the process's id."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
