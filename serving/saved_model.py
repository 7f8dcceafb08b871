"""Loading a SavedModel, and reading TensorFlow's errors, with one clear line for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.errors import UnreadableModelError

# The loader fails in any of these ways on a damaged graph.
_DAMAGE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    DecodeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
# A loaded graph does not know where in the Python code a node was made; the reason follows.
_NO_TRACES: Final = "<stack traces unavailable>"
_NODES: Final = re.compile(
    r"\s*(\[\[\{\{node .*?\}\}\]\]|\{\{function_node .*?\}\}|\[Op:[^\]]*\]( name:.*)?)\s*"
)
# One of several errors: its number, then its code.
_NUMBERED: Final = re.compile(r"^\(\d+\)\s+(?:[A-Z_]+:\s*)?")
# An assertion's message comes first, then its values, each in brackets.
_ASSERTION: Final = re.compile(r"^assertion failed: \[([^\[\]]*)\]")


def load_saved_model(folder: Path | str) -> Any:
    """Returns the loaded object, which must be kept as long as its signatures are used.

    Raises:
        UnreadableModelError: The folder holds no SavedModel, or a damaged one.
    """
    try:
        return tf.saved_model.load(str(folder))
    except _DAMAGE as error:
        raise UnreadableModelError(
            f"{folder}: no readable SavedModel ({error_reason(str(error))})"
        ) from error


def error_reason(text: str) -> str:
    """Returns the line of a TensorFlow error that says what is wrong, without names of nodes."""
    lines = [_NODES.sub(" ", line).strip() for line in text.split("\n")]
    if _NO_TRACES in lines:
        lines = lines[lines.index(_NO_TRACES) + 1 :]
    numbered = [line for line in lines if _NUMBERED.match(line)]
    reason = next(filter(None, numbered or lines), "no reason is given")
    return _ASSERTION.sub(r"\1", _NUMBERED.sub("", reason))
