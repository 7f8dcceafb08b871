"""Errors whose message is meant for the person who started the run."""

from __future__ import annotations

from collections.abc import Iterable


class DataError(ValueError):
    """The data cannot be used; the message says what was found and what was expected.

    Attributes:
        message: Message, one line.
        table: Lines of a table that belongs below it.
    """

    def __init__(self, message: str, table: Iterable[str] = ()) -> None:
        """Constructs the error.

        Args:
            message: Message, one line.
            table: Lines of a table that belongs below it.
        """
        super().__init__(message)
        self.message = message
        self.table = tuple(table)

    def __str__(self) -> str:
        """Returns the message with its table."""
        return "\n".join([self.message, *self.table])
