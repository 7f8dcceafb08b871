"""TensorProtos from plain values, and plain values from TensorProtos with checks."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, Final

from serving.client.call_errors import WrongAnswerError
from serving.client.wire_messages import DT_FLOAT, DT_INT32, DT_STRING, TensorProto
from serving.errors import ServingError

_FLOAT_BYTES: Final = 4
_DTYPES: Final = {DT_FLOAT: "float32", DT_INT32: "int32", DT_STRING: "string"}


def string_vector(name: str, values: Sequence[str]) -> Any:
    """Returns a DT_STRING TensorProto `[B]`.

    Args:
        name: Name of the input, for the error.
        values: Values `[B]`.

    Raises:
        ServingError: A value cannot be written as UTF-8.
    """
    return _tensor(DT_STRING, [len(values)], string_val=_encoded(name, values))


def string_matrix(name: str, rows: Sequence[Sequence[str]], width: int | None = None) -> Any:
    """Returns a DT_STRING TensorProto `[B, N]`.

    Args:
        name: Name of the input, for the error.
        rows: Values `[B, N]`.
        width: N, which must be given if there may be no row.

    Raises:
        ServingError: A value cannot be written as UTF-8.
    """
    values = [value for row in rows for value in row]
    size = len(rows[0]) if width is None else width
    return _tensor(DT_STRING, [len(rows), size], string_val=_encoded(name, values))


def float_matrix(rows: Sequence[Sequence[float]]) -> Any:
    """Returns a DT_FLOAT TensorProto `[B, N]` from rows of one length, at least one.

    Raises:
        ServingError: A value is out of the range of float32.
    """
    values = [value for row in rows for value in row]
    try:
        content = struct.pack(f"<{len(values)}f", *values)
    except OverflowError as error:
        raise ServingError(f"given {max(values, key=abs):g}, expected a float32") from error
    return _tensor(DT_FLOAT, [len(rows), len(rows[0])], tensor_content=content)


def int_vector(values: Sequence[int]) -> Any:
    """Returns a DT_INT32 TensorProto `[B]`."""
    return _tensor(DT_INT32, [len(values)], int_val=values)


def int_scalar(value: int) -> Any:
    """Returns a DT_INT32 TensorProto `[]`."""
    return _tensor(DT_INT32, [], int_val=[value])


def read_floats(outputs: Any, name: str, shape: tuple[int, ...]) -> list[float]:
    """Returns the values of a float32 output, row by row.

    Args:
        outputs: TensorProtos by name.
        name: Name of the output.
        shape: Shape that the output must have.

    Raises:
        WrongAnswerError: The output is missing, or has another dtype or shape.
    """
    tensor = _output(outputs, name, DT_FLOAT)
    _check(f"shape of {name}", list(shape), _shape(tensor))
    count = math.prod(shape)
    if not tensor.tensor_content:
        _check(f"values of {name}", count, len(tensor.float_val))
        return list(tensor.float_val)
    _check(f"bytes of {name}", count * _FLOAT_BYTES, len(tensor.tensor_content))
    return list(struct.unpack(f"<{count}f", tensor.tensor_content))


def read_string_rows(outputs: Any, name: str, rows: int) -> list[list[str]]:
    """Returns the values of a string output `[rows, k]`.

    Args:
        outputs: TensorProtos by name.
        name: Name of the output.
        rows: Number of rows that the output must have.

    Raises:
        WrongAnswerError: The output is missing, has another dtype or shape, or is not UTF-8.
    """
    tensor = _output(outputs, name, DT_STRING)
    match _shape(tensor):
        case [given, k] if given == rows:
            pass
        case shape:
            raise WrongAnswerError(f"shape of {name}: expected [{rows}, k], got {shape}")
    values = _strings(name, tensor, rows * k)
    return [values[row * k : (row + 1) * k] for row in range(rows)]


def read_strings(outputs: Any, name: str, count: int) -> list[str]:
    """Returns the values of a string output `[count]`.

    Raises:
        WrongAnswerError: The output is missing, has another dtype or shape, or is not UTF-8.
    """
    tensor = _output(outputs, name, DT_STRING)
    _check(f"shape of {name}", [count], _shape(tensor))
    return _strings(name, tensor, count)


def _strings(name: str, tensor: Any, count: int) -> list[str]:
    _check(f"values of {name}", count, len(tensor.string_val))
    try:
        return [value.decode() for value in tensor.string_val]
    except UnicodeDecodeError as error:
        raise WrongAnswerError(f"{name}: expected UTF-8, got {error.object!r}") from error


def _tensor(dtype: int, shape: Sequence[int], **values: Any) -> Any:
    tensor = TensorProto(dtype=dtype, **values)
    # A scalar has an empty shape, which differs from a missing one.
    tensor.tensor_shape.SetInParent()
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def _encoded(name: str, values: Sequence[str]) -> list[bytes]:
    try:
        return [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise ServingError(
            f"{name}: given {error.object!r}, expected text that UTF-8 can hold"
        ) from error


def _output(outputs: Any, name: str, dtype: int) -> Any:
    if name not in outputs:
        given = ", ".join(sorted(outputs)) or "none"
        raise WrongAnswerError(f"outputs: expected {name} among them, got {given}")
    tensor = outputs[name]
    _check(f"dtype of {name}", _DTYPES[dtype], _DTYPES.get(tensor.dtype, f"type {tensor.dtype}"))
    return tensor


def _shape(tensor: Any) -> list[int]:
    return [dimension.size for dimension in tensor.tensor_shape.dim]


def _check(what: str, expected: object, given: object) -> None:
    if given != expected:
        raise WrongAnswerError(f"{what}: expected {expected}, got {given}")
