"""Tensors on the wire: made from plain values, and read with what was expected of them checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from serving.client.call_errors import WrongAnswerError
from serving.client.wire_messages import DT_FLOAT, DT_INT32, DT_STRING, TensorProto
from serving.errors import ServingError

_FLOAT: Final = np.dtype("<f4")
_DTYPES: Final = {DT_FLOAT: "float32", DT_INT32: "int32", DT_STRING: "string"}


def string_vector(name: str, values: Sequence[str]) -> Any:
    """A DT_STRING TensorProto `[B]`.

    Raises:
        ServingError: a value of the input of this name cannot be written as UTF-8.
    """
    return _tensor(DT_STRING, [len(values)], string_val=_encoded(name, values))


def string_matrix(name: str, rows: Sequence[Sequence[str]]) -> Any:
    """A DT_STRING TensorProto `[B, N]` of B rows, at least one, of N values each.

    Raises:
        ServingError: a value of the input of this name cannot be written as UTF-8.
    """
    values = [value for row in rows for value in row]
    return _tensor(DT_STRING, [len(rows), len(rows[0])], string_val=_encoded(name, values))


def float_matrix(rows: Sequence[Sequence[float]]) -> Any:
    """A DT_FLOAT TensorProto `[B, N]` of rows of one length."""
    values = np.array(rows, _FLOAT)
    return _tensor(DT_FLOAT, values.shape, tensor_content=values.tobytes())


def int_scalar(value: int) -> Any:
    """A DT_INT32 TensorProto `[]`."""
    return _tensor(DT_INT32, [], int_val=[value])


def read_floats(
    outputs: Any, name: str, shape: tuple[int, ...]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """An output of a known shape.

    Args:
        outputs: TensorProtos by name.
        name: of one of them.
        shape: that it must have.

    Returns:
        float32, of the shape.

    Raises:
        WrongAnswerError: it is missing, or of another dtype or shape.
    """
    tensor = _output(outputs, name, DT_FLOAT)
    _check(f"shape of {name}", list(shape), _shape(tensor))
    if tensor.tensor_content:
        _check(f"bytes of {name}", math.prod(shape) * _FLOAT.itemsize, len(tensor.tensor_content))
        values = np.frombuffer(tensor.tensor_content, _FLOAT).astype(np.float32)
    else:
        _check(f"values of {name}", math.prod(shape), len(tensor.float_val))
        values = np.array(tensor.float_val, np.float32)
    return values.reshape(shape)


def read_string_rows(outputs: Any, name: str, rows: int) -> list[list[str]]:
    """An output `[rows, k]`, by row.

    Args:
        outputs: TensorProtos by name.
        name: of one of them.
        rows: that it must have.

    Raises:
        WrongAnswerError: it is missing, of another dtype or shape, or not UTF-8.
    """
    tensor = _output(outputs, name, DT_STRING)
    match _shape(tensor):
        case [given, k] if given == rows:
            pass
        case shape:
            raise WrongAnswerError(f"shape of {name}: expected [{rows}, k], got {shape}")
    _check(f"values of {name}", rows * k, len(tensor.string_val))
    try:
        values = [value.decode() for value in tensor.string_val]
    except UnicodeDecodeError as error:
        raise WrongAnswerError(f"{name}: expected UTF-8, got {error.object!r}") from error
    return [values[row * k : (row + 1) * k] for row in range(rows)]


def _tensor(dtype: int, shape: Sequence[int], **values: Any) -> Any:
    tensor = TensorProto(dtype=dtype, **values)
    # Set even where there are no dimensions: a shape that is not there is no scalar's.
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
