"""How several names stand in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal


def listed(names: Iterable[str], conjunction: Literal["and", "or"]) -> str:
    """The names, at least one, as `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} {conjunction} {last}" if first else last
