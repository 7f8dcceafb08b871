"""Values of parameters: their types, and how texts and both schemas write them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""What JSON can hold."""


class ParameterType(StrEnum):
    """Types of parameters, by their names in schema 2.1."""

    STRING = "STRING"
    INTEGER = "NUMBER_INTEGER"
    DOUBLE = "NUMBER_DOUBLE"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"


_LEGACY_TYPES = {
    "STRING": ParameterType.STRING,
    "INT": ParameterType.INTEGER,
    "DOUBLE": ParameterType.DOUBLE,
}
_LEGACY_READERS = {"stringValue": str, "intValue": int, "doubleValue": float}
_EXPONENTS_FROM = 1e21
_JSON_KINDS = {
    ParameterType.BOOLEAN: bool,
    ParameterType.LIST: list,
    ParameterType.STRUCT: dict,
}


def parameter_type(definition: Mapping[str, Any]) -> ParameterType:
    """Returns the type that a parameter's definition of either schema names.

    Raises:
        ValueError: it names none that is known.
    """
    if "parameterType" in definition:
        return ParameterType(definition["parameterType"])
    name = definition.get("type")
    if name not in _LEGACY_TYPES:
        raise ValueError(f"{name!r} is no type of a parameter")
    return _LEGACY_TYPES[name]


def from_legacy(value: Any) -> Value:
    """Returns what a value of schema 2.0 holds.

    Raises:
        ValueError: it is not `{stringValue|intValue|doubleValue: …}`.
    """
    if isinstance(value, dict) and len(value) == 1:
        ((kind, held),) = value.items()
        if kind in _LEGACY_READERS:
            return _LEGACY_READERS[kind](held)
    raise ValueError(f"{value!r} is none of {', '.join(_LEGACY_READERS)}")


def to_legacy(value: Value) -> dict[str, Any]:
    """Returns a value as schema 2.0 writes it; JSON has whole numbers of 64 bits as texts."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": text(value)}


def doubles(value: Value) -> Value:
    """Returns a value as JSON has a google.protobuf.Value, which schema 2.1 uses.

    Every number is a double, of which a whole one is written without a point.
    """
    if isinstance(value, list):
        return [doubles(entry) for entry in value]
    if isinstance(value, dict):
        return {key: doubles(entry) for key, entry in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < _EXPONENTS_FROM else number


def of_type(value: Value, kind: ParameterType) -> Value:
    """Returns a number in the form of its type: a float is what JSON and protos make of each."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if kind is ParameterType.INTEGER and float(value).is_integer():
        return int(value)
    return float(value) if kind is ParameterType.DOUBLE else value


def parsed(given: str, kind: ParameterType) -> Value:
    """Returns the value that a text stands for.

    Raises:
        ValueError: it is none of that type. JSON has neither infinity nor what is no number.
    """
    if kind is ParameterType.STRING:
        return given
    if kind is ParameterType.INTEGER:
        return int(given)
    if kind is ParameterType.DOUBLE:
        return _finite(float(given))
    value = json.loads(given)
    if not isinstance(value, _JSON_KINDS[kind]):
        raise ValueError(f"{given} is no {kind}")
    return value


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite")
    return number


def decimal_text(value: Value) -> str:
    """Returns a value as it stands inside a text, numbers without an exponent."""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return text(value)


def text(value: Value) -> str:
    """Returns a value as it stands inside a text."""
    return value if isinstance(value, str) else json.dumps(value)
