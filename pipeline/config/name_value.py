"""Options that are given as NAME=VALUE."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.config.errors import UserError


def pairs(option: str, entries: Iterable[str]) -> dict[str, str]:
    """Values by name; the last one counts.

    Args:
        option: that was given.
        entries: each as NAME=VALUE.

    Raises:
        UserError: one of them is not.
    """
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name or not equals:
            raise UserError(f"{option} {entry}: expected NAME=VALUE")
        found[name] = value
    return found
