"""A model server in a process of its own, with the end of what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from serving.launch import ends_with_parent

_KEPT_LINES: Final = 200
_SHOWN_LINES: Final = 3


class ServerProcess:
    """Started on entry; ended, whatever happens, on exit.

    The process is the leader of its own session: a terminal's Ctrl-C reaches it through its owner
    alone. On Linux it ends with the thread that entered, also when that is killed.

    Attributes:
        shows_log: whether what it says from now on goes to this process's standard error.
    """

    def __init__(self, command: Sequence[str], grace_seconds: float) -> None:
        """Starts nothing yet.

        Args:
            command: the program and its arguments.
            grace_seconds: between asking it to end and ending it.
        """
        self._command = list(command)
        self._grace_seconds = grace_seconds
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.shows_log = False

    def __enter__(self) -> Self:
        """Starts the process."""
        tie = [sys.executable, "-m", ends_with_parent.__name__, str(os.getpid())]
        self._process = subprocess.Popen(
            [*tie, *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; less than 0 if a signal ended it."""
        return self._process.poll()

    def stop(self) -> None:
        """Asks the process to end (SIGTERM), and ends it if it does not do so in time."""
        self._process.terminate()
        try:
            self._process.wait(self._grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """How an ended process ended, and the end of its log, in one line."""
        code = self._process.wait()
        # A grandchild may hold the pipe open.
        self._reader.join(timeout=1.0)
        ended = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        said = " | ".join(list(self._lines)[-_SHOWN_LINES:]) or "it said nothing"
        return f"ended by itself ({ended}): {said}"

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        with output:
            for line in output:
                if text := line.strip():
                    self._lines.append(text)
                if self.shows_log:
                    print(line, end="", file=sys.stderr, flush=True)
