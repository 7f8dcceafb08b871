"""Errors that the command line shows as one line."""

from typing import Final

from components.errors import DataError
from models.errors import TrainingError
from serving.errors import ServingError

LINE_START: Final = "movierec: "
"""What a command, or a step of a compiled pipeline, begins that line with."""


class UserError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


class RunInterruptedError(Exception):
    """A run was told to stop; the message says what becomes of what it has done."""


EXPECTED: Final = (UserError, DataError, TrainingError, ServingError)
"""Errors whose message is meant for the person who started the run; others need a traceback."""
