"""How the commands print: JSON, error lines, and nothing of what libraries log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipeline.config.errors import LINE_START
from serving.errors import printable


def print_json(value: Any) -> None:
    """Prints a value as indented JSON."""
    print(json.dumps(value, indent=2))


def print_json_text(text: str) -> None:
    """Prints JSON at once, with the control characters in its texts as JSON's own escapes.

    JSON need not escape those above the first 32, of which some begin a command of a terminal.
    """
    shown = (
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
        for character in text
    )
    print("".join(shown), flush=True)


def print_line(text: object) -> None:
    """Prints one line to standard output at once, with control characters as escapes."""
    print(printable(str(text)), flush=True)


def print_error(message: Any, table: Iterable[str] = ()) -> None:
    """Prints one line to standard error, marked as the command's own, and a table below it."""
    lines = [f"{LINE_START}{printable(str(message))}", *map(printable, table)]
    print("\n".join(lines), file=sys.stderr, flush=True)


def hidden_logs() -> AbstractContextManager[Any]:
    """Hides what TensorFlow, TFX and Beam print while the context is open."""
    from pipeline import run_log

    return run_log.redirected(Path(os.devnull))
