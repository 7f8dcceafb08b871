"""JSON values to TensorProtos and back, by the rules of TensorFlow Serving's REST API.

The rules: https://www.tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded.request_errors import listed, quoted
from serving.embedded.tensor_codec import Array, encode, shape_text
from serving.rest.rest_errors import bad_request

SIGNATURE_NAME: Final = "signature_name"
INSTANCES: Final = "instances"
INPUTS: Final = "inputs"
PREDICTIONS: Final = "predictions"
OUTPUTS: Final = "outputs"

_BASE64: Final = "b64"
# Strings of outputs with this end of their name are bytes, not text.
_BYTES_SUFFIX: Final = "_bytes"
_MAX_SHOWN: Final = 60
# NumPy's own limit.
_MAX_RANK: Final = 32
# Largest integers that the floating-point types hold with all smaller ones.
_EXACT_INTEGERS: Final = {np.dtype(np.float32): 2**24, np.dtype(np.float64): 2**53}

Inputs = Mapping[str, meta_graph_pb2.TensorInfo]


@dataclass(frozen=True)
class PredictBody:
    """The body of a request to predict.

    Attributes:
        signature_name: Name of the signature; empty for the default one.
        in_rows: Whether the tensors are given by rows (`instances`), not by columns (`inputs`).
        value: Value of that key.
    """

    signature_name: str
    in_rows: bool
    value: Any

    def tensors(self, inputs: Inputs) -> dict[str, tensor_pb2.TensorProto]:
        """Returns the input tensors by name.

        Args:
            inputs: Names, dtypes and shapes of the signature's inputs.

        Raises:
            RestError: 400; the values are not what the signature takes.
        """
        columns = _columns_of_rows(self.value, inputs) if self.in_rows else None
        given = _named_columns(self.value, inputs) if columns is None else columns
        return {name: _tensor(name, value, inputs[name]) for name, value in given.items()}


def parse_body(body: bytes) -> PredictBody:
    """Returns what a body of a request to predict says.

    Raises:
        RestError: 400; it is no JSON object with one of `instances` and `inputs`.
    """
    try:
        parsed = json.loads(body)
    except RecursionError as error:
        raise bad_request("the JSON is nested too deeply") from error
    except ValueError as error:
        # Python's own message may hold the whole text.
        place = error.pos if isinstance(error, json.JSONDecodeError) else None
        where = "" if place is None else f" at character {place}"
        raise bad_request(f"JSON Parse error{where}: expected a JSON object in UTF-8") from error
    if not isinstance(parsed, dict):
        raise bad_request(f"given {_shown(parsed)}, expected an object")
    name = parsed.get(SIGNATURE_NAME, "")
    if not isinstance(name, str):
        raise bad_request(f"{SIGNATURE_NAME}: given {_shown(name)}, expected a string")
    if (INSTANCES in parsed) == (INPUTS in parsed):
        raise bad_request(f"expected one of {quoted(INSTANCES)} and {quoted(INPUTS)}")
    in_rows = INSTANCES in parsed
    return PredictBody(name, in_rows, parsed[INSTANCES if in_rows else INPUTS])


def answer_body(outputs: Mapping[str, Array], in_rows: bool) -> bytes:
    """Returns the body of an answer.

    Args:
        outputs: Outputs of the signature; strings as arrays of bytes objects.
        in_rows: Whether the request was given by rows.

    Raises:
        RestError: 400; the request was given by rows, and the outputs have not one number of rows.
    """
    values = {name: _plain(name, array) for name, array in sorted(outputs.items())}
    answer: Any = next(iter(values.values())) if len(values) == 1 else values
    if not in_rows:
        return _dumped({OUTPUTS: answer})
    sizes = {name: array.shape[0] if array.ndim else None for name, array in outputs.items()}
    if None in sizes.values() or len(set(sizes.values())) > 1:
        raise bad_request(
            f"the outputs have {sizes} rows, and rows need one number of them: give "
            f"{quoted(INPUTS)} in place of {quoted(INSTANCES)}"
        )
    if len(values) > 1:
        rows = zip(*values.values(), strict=True)
        answer = [dict(zip(values, row, strict=True)) for row in rows]
    return _dumped({PREDICTIONS: answer})


def _dumped(answer: Any) -> bytes:
    # NaN and the infinities are written as the tokens that TensorFlow Serving writes.
    return json.dumps(answer, ensure_ascii=False).encode()


def _columns_of_rows(rows: Any, inputs: Inputs) -> dict[str, list[Any]]:
    if not isinstance(rows, list) or not rows:
        raise bad_request(
            f"{INSTANCES}: given {_shown(rows)}, expected a list with at least one row"
        )
    scalars = [name for name, info in inputs.items() if _is_scalar(info)]
    if scalars:
        raise bad_request(
            f"the signature's input {listed(scalars)} is a scalar, which rows cannot hold: give "
            f"{quoted(INPUTS)} in place of {quoted(INSTANCES)}"
        )
    if not _is_object(rows[0]):
        name = _only(inputs, INSTANCES)
        return {name: rows}
    for place, row in enumerate(rows):
        if not _is_object(row) or row.keys() != inputs.keys():
            raise bad_request(
                f"{INSTANCES}[{place}]: expected an object with {listed(inputs)}, got {_shown(row)}"
            )
    return {name: [row[name] for row in rows] for name in inputs}


def _named_columns(value: Any, inputs: Inputs) -> dict[str, Any]:
    if not _is_object(value):
        return {_only(inputs, INPUTS): value}
    if value.keys() != inputs.keys():
        raise bad_request(
            f"{INPUTS}: expected {listed(inputs)}; "
            f"missing: {listed(inputs.keys() - value.keys())}; "
            f"unknown: {listed(value.keys() - inputs.keys())}"
        )
    return dict(value)


def _only(inputs: Inputs, key: str) -> str:
    if len(inputs) != 1:
        raise bad_request(
            f"{key}: the signature takes {listed(inputs)}; expected objects with them"
        )
    return next(iter(inputs))


def _tensor(name: str, value: Any, info: meta_graph_pb2.TensorInfo) -> tensor_pb2.TensorProto:
    shape, flat = _flattened(name, value)
    _check_rank(name, shape, info)
    dtype = tf.dtypes.as_dtype(info.dtype)
    if dtype == tf.string:
        array = np.empty(len(flat), np.object_)
        array[:] = [_bytes(name, leaf) for leaf in flat]
    else:
        array = _numbers(name, flat, np.dtype(dtype.as_numpy_dtype))
    tensor = tensor_pb2.TensorProto()
    encode(array.reshape(shape), tensor)
    # A scalar has an empty shape, which differs from a missing one.
    tensor.tensor_shape.SetInParent()
    return tensor


def _flattened(name: str, value: Any) -> tuple[list[int], list[Any]]:
    """Returns the shape of nested lists, and their values row by row."""
    shape: list[int] = []
    level = [value]
    while level and isinstance(level[0], list):
        size = len(level[0])
        if not all(isinstance(entry, list) and len(entry) == size for entry in level):
            raise bad_request(
                f"{name}: expected lists of one size at level {len(shape) + 1}, which is {size} in "
                "the first one"
            )
        shape.append(size)
        level = [leaf for entry in level for leaf in entry]
    if any(isinstance(leaf, list) for leaf in level):
        raise bad_request(f"{name}: expected no list at level {len(shape) + 1}")
    return shape, level


def _check_rank(name: str, shape: Sequence[int], info: meta_graph_pb2.TensorInfo) -> None:
    expected = len(info.tensor_shape.dim)
    if info.tensor_shape.unknown_rank:
        if len(shape) > _MAX_RANK:
            raise bad_request(f"{name}: expected lists of at most {_MAX_RANK} levels")
    elif len(shape) != expected:
        raise bad_request(
            f"{name}: given lists of {len(shape)} levels, expected {expected}: the signature takes "
            f"{shape_text([dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim])}"
        )


def _bytes(name: str, leaf: Any) -> bytes:
    try:
        if isinstance(leaf, str):
            return leaf.encode()
        if isinstance(leaf, dict) and leaf.keys() == {_BASE64} and isinstance(leaf[_BASE64], str):
            return base64.b64decode(leaf[_BASE64], validate=True)
    except UnicodeEncodeError as error:
        raise bad_request(
            f"{name}: given {_shown(leaf)}, expected text without half a pair of surrogates"
        ) from error
    except (binascii.Error, ValueError) as error:
        raise bad_request(f"{name}: given {_shown(leaf)}, expected base64") from error
    raise bad_request(f"{name}: given {_shown(leaf)}, expected a string")


def _numbers(name: str, flat: Sequence[Any], dtype: np.dtype[Any]) -> Array:
    accepts = _ACCEPTED.get(dtype.kind)
    if accepts is None:
        raise bad_request(f"{name}: values of {dtype} cannot be given in JSON")
    for leaf in flat:
        if not accepts(leaf, dtype):
            raise bad_request(f"{name}: given {_shown(leaf)}, expected a value of {dtype}")
    return np.fromiter(flat, dtype, len(flat))


def _is_bool(leaf: Any, _: np.dtype[Any]) -> bool:
    return isinstance(leaf, bool)


def _is_integer(leaf: Any, dtype: np.dtype[Any]) -> bool:
    bounds = np.iinfo(dtype)
    whole = isinstance(leaf, int) and not isinstance(leaf, bool)
    return whole and bounds.min <= leaf <= bounds.max


def _is_float(leaf: Any, dtype: np.dtype[Any]) -> bool:
    """Returns whether a value is a number that the type holds without a large loss."""
    if isinstance(leaf, float):
        return not math.isfinite(leaf) or abs(leaf) <= float(np.finfo(dtype).max)
    whole = isinstance(leaf, int) and not isinstance(leaf, bool)
    return whole and abs(leaf) < _EXACT_INTEGERS.get(dtype, 0)


# By the kind of a dtype. JSON has no complex numbers.
_ACCEPTED: Final[Mapping[str, Callable[[Any, np.dtype[Any]], bool]]] = {
    "b": _is_bool,
    "i": _is_integer,
    "u": _is_integer,
    "f": _is_float,
}


def _plain(name: str, array: Array) -> Any:
    """Returns an array as nested lists of what JSON has."""
    if array.dtype == np.object_:
        convert: Callable[[Any], Any] = _as_base64 if name.endswith(_BYTES_SUFFIX) else _text
        flat = [convert(value) for value in array.ravel()]
    elif array.dtype.kind == "f":
        # The shortest digits that stand for the value in its own type: 0.1, not 0.10000000149.
        # One by one: an array of texts would take 32 times the memory.
        flat = [float(str(value)) for value in array.ravel()]
    else:
        flat = array.ravel().tolist()
    nested = np.empty(array.size, np.object_)
    nested[:] = flat
    return nested.reshape(array.shape).tolist()


def _text(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _as_base64(value)


def _as_base64(value: bytes) -> dict[str, str]:
    return {_BASE64: base64.b64encode(value).decode()}


def _is_scalar(info: meta_graph_pb2.TensorInfo) -> bool:
    return not info.tensor_shape.unknown_rank and not info.tensor_shape.dim


def _is_object(value: Any) -> bool:
    """Returns whether a value is an object of names, and not one that stands for bytes."""
    return isinstance(value, dict) and not (
        value.keys() == {_BASE64} and isinstance(value[_BASE64], str)
    )


def _shown(value: Any) -> str:
    """Returns the beginning of a value for an error."""
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return f"an object with {listed(value)}"
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
