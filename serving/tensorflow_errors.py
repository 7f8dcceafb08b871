"""The line of a TensorFlow error that says what is wrong."""

from __future__ import annotations

import re
from typing import Final

import grpc
import tensorflow as tf

from serving.embedded.request_error import RequestError

# Follows where in the Python code a node was made, which a loaded graph does not know.
_AFTER: Final = "<stack traces unavailable>"
_PLACES: Final = re.compile(
    r"\s*(\[\[\{\{node .*?\}\}\]\]|\{\{function_node .*?\}\}|\[Op:[^\]]*\]( name:.*)?)\s*"
)
# One of several errors: its number, then its code.
_NUMBERED: Final = re.compile(r"^\(\d+\)\s+(?:[A-Z_]+:\s*)?")
# What an assertion was told to say comes first, then what it was given, each in brackets.
_ASSERTION: Final = re.compile(r"^assertion failed: \[([^\[\]]*)\]")
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def reason(text: str) -> str:
    """One line of an error's text, without the names of nodes and operations."""
    lines = [_PLACES.sub(" ", line).strip() for line in text.split("\n")]
    if _AFTER in lines:
        lines = lines[lines.index(_AFTER) + 1 :]
    numbered = [line for line in lines if _NUMBERED.match(line)]
    found = next(filter(None, numbered or lines), "no reason is given")
    return _ASSERTION.sub(r"\1", _NUMBERED.sub("", found))


def request_error(error: tf.errors.OpError) -> RequestError:
    """What the caller is told when the graph refuses or fails; the code is TensorFlow's own."""
    return RequestError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), reason(str(error)))
