"""A fork of this process that waits until it is told what to do, without any import to wait for."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from serving.shutdown import end_with_parent


class SpareProcess:
    """A forked process; it looks like a `subprocess.Popen` with pipes to its input and output.

    It leads its own session, and ends when it is told nothing before its input is closed. On Linux
    it is killed when the thread that forked it ends.

    Attributes:
        pid: Id of the process.
        stdin: Pipe to its standard input.
        stdout: Pipe from its standard output.
        told: Whether it was told what to do.
    """

    def __init__(self, work: Callable[[Sequence[str]], int]) -> None:
        """Forks this process, which must not have started any thread.

        Args:
            work: Function that the other process runs with what it is told; it returns the exit
                code.
        """
        source, to_process = os.pipe()
        from_process, target = os.pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_wait_and_work,
            name="spare process",
            args=(work, source, target, (to_process, from_process), os.getpid()),
        )
        self._process.start()
        for descriptor in (source, target):
            os.close(descriptor)
        self.pid: int = self._process.pid or 0
        self.stdin = os.fdopen(to_process, "wb", buffering=0)
        self.stdout = os.fdopen(from_process, "rb", buffering=0)
        self.told = False

    def tell(self, arguments: Sequence[str]) -> None:
        """Has it do its work.

        Args:
            arguments: Arguments of the work.
        """
        self.told = True
        self.stdin.write(json.dumps(arguments).encode() + b"\n")

    def poll(self) -> int | None:
        """Returns its exit code, less than 0 if a signal ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end and returns its exit code.

        Raises:
            TimeoutExpired: It still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def kill(self) -> None:
        """Ends it by SIGKILL."""
        self._process.kill()


def _wait_and_work(
    work: Callable[[Sequence[str]], int],
    source: int,
    target: int,
    of_parent: Sequence[int],
    parent: int,
) -> None:
    """Becomes a program of its own with a standard input and output, and ends as one."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for descriptor in of_parent:
        # The input ends only when all who could write have closed it.
        os.close(descriptor)
    for descriptor, standard in ((source, 0), (target, 1)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    if not end_with_parent(parent, signal.SIGKILL):
        return
    line = b""
    while not line.endswith(b"\n"):
        character = os.read(0, 1)
        if not character:
            return
        line += character
    code = work(json.loads(line))
    sys.stderr.flush()
    # Without the seconds in which an interpreter takes itself apart.
    os._exit(code)
