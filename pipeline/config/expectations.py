"""What a key of the configuration takes, in words, where pydantic refuses its value."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

_EXPECTATIONS: Final = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": 'expected a table such as {{user = "reader"}}',
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected {ge:g} or more",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "less_than": "expected less than {lt:g}",
    "less_than_equal": "expected {le:g} or less",
    "literal_error": "expected {expected}",
    "missing": "expected one more value",
    "path_type": "expected text, in quotes",
    "string_type": "expected text, in quotes",
    "tuple_type": 'expected a list such as ["A", "B"] or [1, 5]',
}
"""What a key takes, by pydantic's name of the error."""


def expectation(error: ValidationError) -> str:
    """Returns what the first wrong value of a validation should be, as the end of a line."""
    first = error.errors()[0]
    if first["type"] in _EXPECTATIONS:
        return _EXPECTATIONS[first["type"]].format(**first.get("ctx", {}))
    problem = first["msg"].removeprefix("Value error, ")
    return problem[0].lower() + problem[1:]
