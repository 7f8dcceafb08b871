"""Steps in processes of their own, forked from one that has imported what they need.

A fork has all that its parent imported, but only the thread that forked. The parent must therefore
have run nothing of TensorFlow, whose operations wait for threads.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from types import TracebackType
from typing import Final, Self

from models.training.progress import Progress, current_report
from pipeline.step_failure import StepEndedError, StepFailedError
from serving.shutdown import STOP_SIGNALS, end_with_parent

# Between SIGTERM, at which a training saves its state, and SIGKILL.
_GRACE_SECONDS: Final = 30.0
_CHUNK: Final = 1 << 16
# Linux counts resident memory in units of 1,024 bytes.
_BYTES_PER_UNIT: Final = 1_024
_MEGABYTE: Final = 1e6
_FORK: Final = multiprocessing.get_context("fork") if sys.platform == "linux" else None


@dataclass(frozen=True)
class Finished:
    """A step reached its end.

    Attributes:
        cached: Whether an earlier result was used.
        peak_memory_mb: Largest memory of its process, in megabytes.
    """

    cached: bool
    peak_memory_mb: float


@dataclass(frozen=True)
class Failed:
    """A step did not reach its end."""

    error: StepFailedError


Message = Progress | Finished | Failed
"""News of a step; the last two kinds end it."""


def can_fork() -> bool:
    """Returns whether this process may become the parent of steps.

    Other systems than Linux have forks, but libraries that do not survive them. A process that has
    imported TensorFlow may have run it.
    """
    return _FORK is not None and "tensorflow" not in sys.modules


def peak_memory_mb() -> float:
    """Returns the largest memory that this process has had, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_UNIT
    return round(peak / _MEGABYTE, 1)


class StepProcesses:
    """The processes of the steps that run; those left at the end of the block are ended.

    They end with the thread that started them, even one that is killed.
    """

    def __init__(self) -> None:
        """Starts nothing."""
        self._running: dict[connection.Connection, _Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def __len__(self) -> int:
        """Returns the number of steps that run."""
        return len(self._running)

    def start(
        self, name: str, work: Callable[[], bool], explain: Callable[[Exception], StepFailedError]
    ) -> None:
        """Starts a step.

        Args:
            name: Id of the step.
            work: Function that does its work, and returns whether an earlier result was used.
            explain: Function that puts an error of the step, or the end of its process, into words.
        """
        assert _FORK is not None
        try:
            temporary = tempfile.mkdtemp(prefix=f"movierec-{name}-")
        except OSError as error:
            raise explain(error) from error
        messages, sender = _FORK.Pipe(duplex=False)
        given = (work, explain, sender, os.getpid(), temporary)
        process = _FORK.Process(target=_run, name=name, args=given)
        process.start()
        # Without another sender, the end of the process ends the pipe.
        sender.close()
        self._running[messages] = _Child(name, process, explain, temporary)

    def news(self, seconds: float | None) -> Iterator[tuple[str, Message]]:
        """Yields the ids of steps and what is new about them.

        Args:
            seconds: Longest time to wait; None waits until there is something new.
        """
        for messages in connection.wait(list(self._running), seconds):
            assert isinstance(messages, connection.Connection)
            child = self._running[messages]
            try:
                message: Message = messages.recv()
            except EOFError:
                child.process.join()
                message = Failed(child.explain(StepEndedError(child.process.exitcode or 0)))
            if not isinstance(message, Progress):
                child.process.join()
                shutil.rmtree(child.temporary, ignore_errors=True)
                messages.close()
                del self._running[messages]
            yield child.name, message

    def _end(self) -> None:
        """Ends every step by SIGTERM, and by SIGKILL after a while or at a second interruption."""
        children = list(self._running.values())
        for child in children:
            child.process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        try:
            for messages, child in self._running.items():
                # A full pipe would keep the process from its end, and a message may be half read.
                while connection.wait([messages], max(0.0, deadline - time.monotonic())):
                    if not os.read(messages.fileno(), _CHUNK):
                        break
                child.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for child in children:
                child.process.kill()
                child.process.join()
                shutil.rmtree(child.temporary, ignore_errors=True)
            for messages in self._running:
                messages.close()
            self._running.clear()


@dataclass(frozen=True)
class _Child:
    """The process of a step, and the folder of its temporary files."""

    name: str
    process: multiprocessing.process.BaseProcess
    explain: Callable[[Exception], StepFailedError]
    temporary: str


def _run(
    work: Callable[[], bool],
    explain: Callable[[Exception], StepFailedError],
    sender: connection.Connection,
    parent: int,
    temporary: str,
) -> None:
    """Does the work of a step in its process, which it ends."""
    # What libraries remove at the end of an interpreter, or a step that is killed leaves behind, is
    # removed with this folder.
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    for number in STOP_SIGNALS:
        # What a terminal sends reaches all its processes; this one is told by its parent.
        # Programs that it starts do not inherit handlers.
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    exit_code = 1
    # Steps that share a GPU must not reserve all of its memory.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    current_report.set(sender.send)
    try:
        if end_with_parent(parent, signal.SIGKILL):
            cached = work()
            sender.send(Finished(cached, peak_memory_mb()))
            exit_code = 0
    except KeyboardInterrupt:
        logging.info("told to end")
    except Exception as error:
        logging.exception("%s failed", multiprocessing.current_process().name)
        # Without a parent there is nobody to tell.
        with suppress(BrokenPipeError):
            sender.send(Failed(explain(error)))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads that the step has left behind would be waited for.
        os._exit(exit_code)
