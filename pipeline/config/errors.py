"""Errors that the command line shows as one line, and the wording that they share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from components.errors import DataError
from models.errors import TrainingError
from serving.errors import ServingError

LINE_START: Final = "movierec: "
"""Start of the line that a command, or a step of a compiled pipeline, prints for an error."""


class UserError(Exception):
    """An error that the person at the keyboard can correct; the message says how."""


class RunInterruptedError(Exception):
    """A run was told to stop; the message says what happens to its results so far."""


EXPECTED: Final = (UserError, DataError, TrainingError, ServingError)
"""Errors whose message is meant for the person who started the run; others need a traceback."""


def listed(names: Iterable[str], conjunction: Literal["and", "or"]) -> str:
    """Returns one or more names in the form `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} {conjunction} {last}" if first else last
