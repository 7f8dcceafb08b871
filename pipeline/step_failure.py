"""The failure of a step, and the line that a person reads about it."""

from __future__ import annotations

import signal
from pathlib import Path

from pipeline.config.errors import EXPECTED, UserError

_LESS_MEMORY = (
    "lower training.memory_budget, training.batch_size or model.dimension, beam.workers or "
    "runner.jobs"
)


class StepFailedError(UserError):
    """A step ended with an error."""


def explain(error: Exception, step: str | None, folder: Path) -> str:
    """Returns one line on why a step failed.

    Args:
        error: Error of the step.
        step: Id of the step; None between steps.
        folder: Folder of the run, with its log.
    """
    if isinstance(error, EXPECTED):
        return f"{step}: {error}"
    if isinstance(error, OSError):
        return f"{step}: {error.strerror or error} ({error.filename or folder})"
    if _is_out_of_memory(error):
        return f"{step}: out of memory; {_LESS_MEMORY}; the traceback is in {folder / 'log.txt'}"
    first_line = str(error).strip().partition("\n")[0]
    return f"{step}: {type(error).__name__}: {first_line}; the traceback is in {folder / 'log.txt'}"


def explain_end(exit_code: int, step: str) -> str:
    """Returns one line on a step whose process ended without a word.

    Args:
        exit_code: Exit code of the process, less than 0 if a signal ended it.
        step: Id of the step.
    """
    if exit_code >= 0:
        return f"{step}: its process ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    if name == "SIGKILL":
        return f"{step}: its process was killed, as when memory runs out; if so, {_LESS_MEMORY}"
    return f"{step}: its process was ended by {name}"


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Returns whether an error, or one that it followed from, is a lack of memory."""
    while error is not None:
        # TensorFlow's error, whose import takes seconds; it is loaded if it was raised.
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return True
        # Beam raises another error with the text of the worker's.
        if isinstance(error, RuntimeError) and "MemoryError" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
