"""The failure of a step, and the line that a person reads about it."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from pathlib import Path
from typing import Final

from components.errors import DataError
from pipeline.config.errors import EXPECTED, UserError

LESS_MEMORY: Final = (
    "lower training.memory_budget, training.batch_size or model.dimension, beam.workers or "
    "runner.jobs"
)
"""What lowers the memory of a run."""

_REMEDY: Final = (
    "; if a file of an earlier run is damaged, `movierec run --set runner.cache=false` makes all "
    "anew"
)

# Libraries abort where C++ finds no memory, and crash where C does not look.
_SIGNALS_OF_MEMORY: Final = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
# Beam raises an error of its own with the text of the worker's, and the loader of libraries an
# ImportError.
_TEXTS_OF_MEMORY: Final = (
    "MemoryError",
    "std::bad_alloc",
    os.strerror(errno.ENOMEM),
    "failed to map segment from shared object",
    "can't start new thread",
)


class StepFailedError(UserError):
    """A step ended with an error.

    Attributes:
        table: Lines of a table that belongs below the message.
    """

    def __init__(self, message: str, table: tuple[str, ...] = ()) -> None:
        """Constructs the error.

        Args:
            message: Message, one line.
            table: Lines of a table that belongs below it.
        """
        super().__init__(message)
        self.table = table


class StepEndedError(Exception):
    """The process of a step ended without a word.

    Attributes:
        exit_code: Exit code of the process, less than 0 if a signal ended it.
    """

    def __init__(self, exit_code: int) -> None:
        """Constructs the error.

        Args:
            exit_code: Exit code of the process, less than 0 if a signal ended it.
        """
        super().__init__(exit_code)
        self.exit_code = exit_code


def explain(
    error: Exception, step: str | None, folder: Path, has_reused: bool = False
) -> StepFailedError:
    """Returns the failure of a step, for the person who started the run.

    Args:
        error: Error of the step.
        step: Id of the step; None between steps.
        folder: Folder of the run, with its log.
        has_reused: Whether the run has taken results of earlier runs, which may be damaged.
    """
    if isinstance(error, DataError):
        return StepFailedError(f"{step}: {error.message}", error.table)
    return StepFailedError(f"{step}: {_reason(error, folder, _REMEDY if has_reused else '')}")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Returns whether an error, or one that it followed from, is a lack of memory."""
    while error is not None:
        # TensorFlow's error, whose import takes seconds; it is loaded if it was raised.
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return True
        if any(text in str(error) for text in _TEXTS_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(error: Exception, folder: Path, remedy: str) -> str:
    """Returns why a step failed, in one line, with a remedy where the reason is not known."""
    if isinstance(error, EXPECTED):
        return str(error)
    if isinstance(error, StepEndedError):
        return f"{_end(error.exit_code)}; the last it said is in {folder / 'log.txt'}"
    if _is_disk_full(error):
        return (
            f"no space left on the disk of {_disks(folder.parents[1])}; free some, for instance "
            "with `movierec prune`, and run again: steps that have finished are kept"
        )
    traceback = f"the traceback is in {folder / 'log.txt'}"
    if is_out_of_memory(error):
        return f"out of memory; {LESS_MEMORY}; {traceback}"
    if isinstance(error, OSError):
        return f"{error.strerror or error} ({error.filename or folder}){remedy}"
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}; {traceback}{remedy}"


def _end(exit_code: int) -> str:
    """Returns how a process ended, and what may help."""
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code}"
    number = signal.Signals(-exit_code)
    ended = "killed" if number == signal.SIGKILL else f"ended by {number.name}"
    memory = f", as when memory runs out; if so, {LESS_MEMORY}"
    return f"its process was {ended}{memory if number in _SIGNALS_OF_MEMORY else ''}"


def _disks(workspace: Path) -> str:
    """Returns the places that a step writes to, which may be on two disks."""
    temporary = Path(tempfile.gettempdir())
    if temporary.stat().st_dev == workspace.stat().st_dev:
        return str(workspace)
    while not temporary.is_mount():
        temporary = temporary.parent
    return f"{workspace}, or that of temporary files, {temporary} (TMPDIR)"


def _is_disk_full(error: BaseException | None) -> bool:
    """Returns whether an error, or one that it followed from, is a full disk.

    TensorFlow raises the error of exhausted memory for it too, and Beam and SQLite their own.
    """
    texts = (os.strerror(errno.ENOSPC), "database or disk is full")
    while error is not None:
        if any(text in str(error) for text in texts):
            return True
        error = error.__cause__ or error.__context__
    return False
