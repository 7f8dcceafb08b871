"""Errors whose message is one line for the person who uses a model."""

from __future__ import annotations

# Long enough for a reason, too short for a stack of graph nodes.
_MAX_TEXT = 500


class ServingError(ValueError):
    """A model cannot be served or queried; the message says what to do."""


class UnreadableModelError(ServingError):
    """A folder holds no SavedModel that can be loaded."""


class ServerUnavailableError(ServingError):
    """A model server cannot be asked, for a reason that says nothing about the model.

    It may be over at the next attempt: a busy machine, or a process that was killed.
    """


def printable(text: str) -> str:
    """Returns a text of others with its control characters shown as the escapes of Python.

    A terminal would obey them, whatever a title, a file's name or a request makes it do.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def one_line(text: str) -> str:
    """Returns a text from elsewhere as one printable line of at most 500 characters."""
    line = " ".join(text.split())
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return printable if len(printable) <= _MAX_TEXT else f"{printable[:_MAX_TEXT]}…"
