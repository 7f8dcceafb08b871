"""A model server in a process that ends with this one, with the last lines of its log.

    python -m serving.launch.server_process PARENT PROGRAM [ARGUMENT ...]

replaces itself by the program. On Linux the program gets SIGTERM when the parent process ends, or
the thread of it that started the program (`PR_SET_PDEATHSIG`, prctl(2)). Other systems have no such
signal, and the program may outlive its parent there.
"""

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

from serving.errors import printable
from serving.shutdown import end_with_parent

_KEPT_LINES: Final = 200
_SHOWN_LINES: Final = 3
# A shell's exit code for a program that cannot be executed.
_CANNOT_BE_RUN: Final = 126


class ServerProcess:
    """A process that is started on entry and ended on exit.

    It leads its own session, so that a terminal's Ctrl-C reaches only this process. On Linux it
    ends with the thread that entered, even one that is killed.
    """

    def __init__(self, command: Sequence[str], grace_seconds: float) -> None:
        """Takes the command; the process starts on entry.

        Args:
            command: Program and its arguments.
            grace_seconds: Seconds between SIGTERM and SIGKILL.
        """
        self._command = list(command)
        self._grace_seconds = grace_seconds
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._shows_log = False
        self._log_lock = threading.Lock()

    def __enter__(self) -> Self:
        """Starts the process."""
        prefix = [sys.executable, "-m", __name__, str(os.getpid())]
        self._process = subprocess.Popen(
            [*prefix, *self._command],
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
        """Exit code; None while it runs, less than 0 if a signal ended it."""
        return self._process.poll()

    def stop(self) -> None:
        """Sends SIGTERM, and SIGKILL if the process does not end in time."""
        self._process.terminate()
        try:
            self._process.wait(self._grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def show_log(self, *, from_start: bool = False) -> None:
        """Copies further lines of its log to this process's standard error.

        Args:
            from_start: Whether to copy the last 200 lines so far too; not those copied already.
        """
        with self._log_lock:
            if from_start and not self._shows_log:
                for line in self._lines:
                    print(printable(line), file=sys.stderr, flush=True)
            self._shows_log = True

    def last_words(self) -> str:
        """Returns how the process ended and the last lines of its log, as one line."""
        code = self._process.wait()
        # A grandchild may hold the pipe open.
        self._reader.join(timeout=1.0)
        ended = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        said = " | ".join(list(self._lines)[-_SHOWN_LINES:]) or "no output"
        return f"ended by itself ({ended}): {said}"

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        with output:
            for line in output:
                with self._log_lock:
                    if text := line.strip():
                        self._lines.append(text)
                    if self._shows_log:
                        # It may quote what a client sent.
                        print(printable(line.rstrip()), file=sys.stderr, flush=True)


def main() -> int:
    """Runs the program in place of this process; returns an exit code only if that fails."""
    parent, *command = sys.argv[1:]
    if not end_with_parent(int(parent), signal.SIGTERM):
        return 0
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, and the program would inherit that.
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: cannot be run: {error.strerror}", file=sys.stderr)
    return _CANNOT_BE_RUN


if __name__ == "__main__":
    sys.exit(main())
