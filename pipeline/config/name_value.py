"""Command-line options that are written as NAME=VALUE."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.config.errors import UserError


def pairs(option: str, entries: Iterable[str]) -> dict[str, str]:
    """Returns the values by name; the last value of a name counts.

    Args:
        option: Option that was given, such as `--label`.
        entries: Values of the option, each NAME=VALUE.

    Raises:
        UserError: An entry does not have that form.
    """
    values = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name or not equals:
            raise UserError(f"{option} {entry}: expected NAME=VALUE")
        values[name] = value
    return values
