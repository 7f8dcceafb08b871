"""TensorProtos to NumPy arrays and back, with checks of what a proto claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.embedded.request_errors import invalid

Array = np.ndarray[Any, np.dtype[Any]]

# TensorFlow's own limit.
_MAX_RANK: Final = 254
# Size of a string in a tensor, without the characters that are stored elsewhere.
_STRING_BYTES: Final = 24
# Memory for the strings that a tensor may leave out. Clients send every string; without this limit,
# a request of a hundred bytes could cost as much work as a large one.
_MAX_FILLED_STRING_BYTES: Final = 16 * 1024


def _plain(values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
    return np.fromiter(values, dtype, len(values))


def _from_bits(values: Sequence[int], dtype: np.dtype[Any]) -> Array:
    return np.fromiter(values, np.int64, len(values)).astype(np.uint16).view(dtype)


def _from_pairs(values: Sequence[float], dtype: np.dtype[Any]) -> Array:
    pairs = np.fromiter(values, dtype.type(0).real.dtype, len(values))
    return pairs[: len(pairs) // 2 * 2].view(dtype)


def _to_bits(flat: Array) -> list[Any]:
    return flat.view(np.uint16).tolist()


def _to_pairs(flat: Array) -> list[Any]:
    return flat.view(flat.real.dtype).tolist()


@dataclass(frozen=True)
class _Field:
    """The field of a TensorProto for the values of a dtype."""

    name: str
    decode: Callable[[Sequence[Any], np.dtype[Any]], Array] = _plain
    encode: Callable[[Array], list[Any]] = np.ndarray.tolist


_FIELDS: Final = {
    types_pb2.DT_FLOAT: _Field("float_val"),
    types_pb2.DT_DOUBLE: _Field("double_val"),
    types_pb2.DT_INT8: _Field("int_val"),
    types_pb2.DT_INT16: _Field("int_val"),
    types_pb2.DT_INT32: _Field("int_val"),
    types_pb2.DT_UINT8: _Field("int_val"),
    types_pb2.DT_UINT16: _Field("int_val"),
    types_pb2.DT_INT64: _Field("int64_val"),
    types_pb2.DT_UINT32: _Field("uint32_val"),
    types_pb2.DT_UINT64: _Field("uint64_val"),
    types_pb2.DT_BOOL: _Field("bool_val"),
    types_pb2.DT_HALF: _Field("half_val", _from_bits, _to_bits),
    types_pb2.DT_BFLOAT16: _Field("half_val", _from_bits, _to_bits),
    types_pb2.DT_COMPLEX64: _Field("scomplex_val", _from_pairs, _to_pairs),
    types_pb2.DT_COMPLEX128: _Field("dcomplex_val", _from_pairs, _to_pairs),
}


def supported(dtype: tf.DType) -> bool:
    """Returns whether tensors of a dtype can be decoded and encoded."""
    return dtype == tf.string or dtype.as_datatype_enum in _FIELDS


def dtype_name(proto: tensor_pb2.TensorProto) -> str:
    """Returns the name of a proto's dtype, also of one that does not exist."""
    try:
        return tf.dtypes.as_dtype(proto.dtype).name
    except TypeError:
        return f"dtype {proto.dtype}"


def shape_text(shape: Sequence[int | None]) -> str:
    """Returns a shape as text, such as `[?, 3]`."""
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def decode(proto: tensor_pb2.TensorProto, max_bytes: int) -> Array:
    """Returns a tensor's values; strings as an array of bytes objects.

    As in TensorFlow, values left out at the end repeat the last one given; if none is given, they
    are zeros or empty strings. Strings left out may take at most 16 KiB of memory.

    Args:
        proto: Tensor, with values in the field of the dtype or in tensor_content.
        max_bytes: Memory in bytes for numbers that the proto leaves out.

    Raises:
        RequestError: INVALID_ARGUMENT; the values do not fit the shape, or would take too much
            memory.
    """
    shape = _shape(proto, max_bytes)
    size = math.prod(shape)
    if proto.dtype == types_pb2.DT_STRING:
        return _strings(proto, size).reshape(shape)
    if proto.dtype not in _FIELDS:
        raise invalid(f"a tensor of {dtype_name(proto)} cannot be sent")
    return _numbers(proto, size, max_bytes).reshape(shape)


def encode(array: Array, proto: tensor_pb2.TensorProto) -> None:
    """Writes an array into an empty proto; strings are an array of bytes objects."""
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    flat = np.ascontiguousarray(array).reshape(-1)
    if array.dtype == np.object_:
        proto.dtype = types_pb2.DT_STRING
        proto.string_val.extend(flat.tolist())
        return
    proto.dtype = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    field = _FIELDS[proto.dtype]
    getattr(proto, field.name).extend(field.encode(flat))


def _shape(proto: tensor_pb2.TensorProto, max_bytes: int) -> list[int]:
    if proto.tensor_shape.unknown_rank:
        raise invalid("the tensor's shape is missing: expected a size for each dimension")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    if len(shape) > _MAX_RANK:
        raise invalid(f"the tensor has {len(shape)} dimensions: expected at most {_MAX_RANK}")
    if any(not 0 <= size <= max_bytes for size in shape):
        raise invalid(
            f"the tensor's shape is {shape_text(shape)}: expected sizes from 0 to {max_bytes}"
        )
    return shape


def _strings(proto: tensor_pb2.TensorProto, size: int) -> Array:
    if proto.tensor_content:
        raise invalid("a tensor of string has tensor_content: expected string_val")
    values = list(proto.string_val)
    if len(values) != size:
        filler = values[-1] if values else b""
        _check_fill(len(values), size, _STRING_BYTES + len(filler), _MAX_FILLED_STRING_BYTES)
        values += [filler] * (size - len(values))
    array = np.empty(size, np.object_)
    array[:] = values
    return array


def _numbers(proto: tensor_pb2.TensorProto, size: int, max_bytes: int) -> Array:
    dtype = np.dtype(tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype)
    if proto.tensor_content:
        expected = size * dtype.itemsize
        if len(proto.tensor_content) != expected:
            raise invalid(
                f"tensor_content has {len(proto.tensor_content)} bytes: expected {expected} for "
                f"{size} values of {dtype_name(proto)}"
            )
        if dtype == np.bool_:
            # NumPy's bool must be a byte 0 or 1.
            return np.frombuffer(proto.tensor_content, np.uint8) != 0
        return np.frombuffer(proto.tensor_content, dtype)
    field = _FIELDS[proto.dtype]
    try:
        values = field.decode(getattr(proto, field.name), dtype)
    except OverflowError as error:
        raise invalid(f"a value is out of the range of {dtype_name(proto)}") from error
    if len(values) == size:
        return values
    _check_fill(len(values), size, dtype.itemsize, max_bytes)
    filled = np.full(size, values[-1] if len(values) else 0, dtype)
    filled[: len(values)] = values
    return filled


def _check_fill(given: int, size: int, item_bytes: int, max_bytes: int) -> None:
    if given > size:
        raise invalid(f"the tensor has {given} values: expected {size} by its shape")
    if (size - given) * item_bytes > max_bytes:
        raise invalid(
            f"the tensor's shape has {size} values and {given} are given: expected all of them, or "
            f"at most {max_bytes // item_bytes} left out"
        )
