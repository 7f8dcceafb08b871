"""The moves of the data that a person accepts for one run, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from components.drift.report import NAMES
from components.gate.limits import BASELINE_MOVE
from pipeline.config.errors import UserError, listed

_ACCEPTABLE: Final = (*NAMES, BASELINE_MOVE)


def parse(option: str, texts: Iterable[str]) -> str:
    """Returns the names in the form that the steps take.

    Args:
        option: Option that the names were given with.
        texts: Names, each text with one or several that are separated by commas.

    Raises:
        UserError: There is no such move.
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if name not in _ACCEPTABLE:
            raise UserError(f"{option} {name}: expected {listed(_ACCEPTABLE, 'or')}")
    return ",".join(dict.fromkeys(names))
