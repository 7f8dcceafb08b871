"""Conversions against TensorFlow's own, and tensors that must be refused."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.embedded.request_errors import RequestError
from serving.embedded.tensor_codec import decode, encode

MAX_BYTES = 1000

ARRAYS = [
    np.array([[1.5, -2.0, np.inf]], np.float32),
    np.array([0.1, -1e300]),
    np.array([1.5, -0.0, 65504], np.float16),
    np.array([1.5, -3], tf.bfloat16.as_numpy_dtype),
    np.array([-128, 127], np.int8),
    np.array([0, 255], np.uint8),
    np.array([-(2**15), 2**15 - 1], np.int16),
    np.array([0, 2**16 - 1], np.uint16),
    np.array([[-(2**31)], [2**31 - 1]], np.int32),
    np.array([0, 2**32 - 1], np.uint32),
    np.array([-(2**63), 2**63 - 1], np.int64),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([True, False]),
    np.array([1 + 2j, -3j], np.complex64),
    np.array([1 + 2j, -3j], np.complex128),
    np.array(7, np.int32),
    np.zeros((0, 3), np.float32),
    np.array([[b"a", b""], [b"\xff\xfe", "№".encode()]], object),
    np.empty((2, 0), object),
]


def proto(dtype: int, shape: list[int], **values: Any) -> tensor_pb2.TensorProto:
    found = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in shape:
        found.tensor_shape.dim.add().size = size
    return found


def same(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    return (
        left.dtype == right.dtype and left.shape == right.shape and left.tolist() == right.tolist()
    )


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{list(array.shape)}")
def test_what_is_encoded_is_read_by_tensorflow(array: np.ndarray[Any, Any]) -> None:
    written = tensor_pb2.TensorProto()
    encode(array, written)
    assert not written.tensor_content
    assert same(tf.make_ndarray(written), array)
    assert same(decode(written, MAX_BYTES), array)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{list(array.shape)}")
def test_what_tensorflow_encodes_is_read(array: np.ndarray[Any, Any]) -> None:
    written = tf.make_tensor_proto(array, tf.string if array.dtype == object else None)
    assert same(decode(written, MAX_BYTES), array)


def test_columns_in_another_order_are_encoded_by_rows() -> None:
    written = tensor_pb2.TensorProto()
    encode(np.array([[1, 2], [3, 4]], np.int32).T, written)
    assert list(written.int_val) == [1, 3, 2, 4]


@pytest.mark.parametrize(
    ("dtype", "field", "given", "filled"),
    [
        (types_pb2.DT_FLOAT, "float_val", [1.5], [1.5, 1.5, 1.5]),
        (types_pb2.DT_INT64, "int64_val", [1, 2], [1, 2, 2]),
        (types_pb2.DT_INT32, "int_val", [], [0, 0, 0]),
        (types_pb2.DT_STRING, "string_val", [b"a"], [b"a", b"a", b"a"]),
        (types_pb2.DT_STRING, "string_val", [], [b"", b"", b""]),
        (types_pb2.DT_COMPLEX64, "scomplex_val", [1, 2], [1 + 2j] * 3),
    ],
)
def test_values_left_out_are_the_last_one(
    dtype: int, field: str, given: list[Any], filled: list[Any]
) -> None:
    assert decode(proto(dtype, [3], **{field: given}), MAX_BYTES).tolist() == filled


@pytest.mark.parametrize(
    ("malformed", "named"),
    [
        (proto(types_pb2.DT_FLOAT, [2], tensor_content=b"1234567"), ["7 bytes", "8"]),
        (proto(types_pb2.DT_FLOAT, [1], float_val=[1, 2]), ["2 values", "expected 1"]),
        (proto(types_pb2.DT_STRING, [1], string_val=[b"a", b"b"]), ["2 values", "expected 1"]),
        (proto(types_pb2.DT_STRING, [1], tensor_content=b"a"), ["string_val"]),
        (proto(types_pb2.DT_INT32, [-1], int_val=[1]), ["[-1]"]),
        (proto(types_pb2.DT_INT32, [0, 2**62]), [str(2**62)]),
        (proto(types_pb2.DT_INT32, [1] * 255, int_val=[1]), ["255 dimensions", "254"]),
        (proto(types_pb2.DT_INT8, [1], int_val=[300]), ["int8"]),
        (proto(types_pb2.DT_UINT8, [1], int_val=[-1]), ["uint8"]),
        (proto(types_pb2.DT_INVALID, [1], int_val=[1]), ["dtype 0"]),
        (proto(999, [1], int_val=[1]), ["dtype 999"]),
        (proto(types_pb2.DT_RESOURCE, [1]), ["resource"]),
        # Small in the request, large in memory.
        (proto(types_pb2.DT_FLOAT, [252], float_val=[1]), ["252", "250"]),
        (proto(types_pb2.DT_STRING, [657], string_val=[b"a"]), ["657", "655"]),
        (proto(types_pb2.DT_STRING, [2], string_val=[b"a" * 16_361]), ["2 values", "0 left out"]),
        (proto(types_pb2.DT_DOUBLE, [1000, 1000, 1000, 1000]), [str(10**12)]),
    ],
)
def test_what_does_not_belong_together(malformed: tensor_pb2.TensorProto, named: list[str]) -> None:
    with pytest.raises(RequestError) as refused:
        decode(malformed, MAX_BYTES)
    assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert [part for part in named if part not in str(refused.value)] == []


def test_a_shape_that_is_left_open() -> None:
    unknown = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1])
    unknown.tensor_shape.unknown_rank = True
    with pytest.raises(RequestError, match="shape is missing"):
        decode(unknown, MAX_BYTES)


def test_all_values_given_may_be_more_than_those_left_out() -> None:
    many = [b""] * (MAX_BYTES // 2)
    found = decode(proto(types_pb2.DT_STRING, [len(many)], string_val=many), MAX_BYTES)
    assert found.tolist() == many


def test_bytes_that_are_no_bool_are_true() -> None:
    found = decode(proto(types_pb2.DT_BOOL, [3], tensor_content=b"\0\1\7"), MAX_BYTES)
    assert found.dtype == np.bool_
    assert found.view(np.uint8).tolist() == [0, 1, 1]


def test_as_many_strings_may_be_left_out_as_take_16_kib() -> None:
    short = decode(proto(types_pb2.DT_STRING, [656], string_val=[b"a"]), MAX_BYTES)
    assert short.tolist() == [b"a"] * 656
    long = decode(proto(types_pb2.DT_STRING, [2], string_val=[b"a" * 16_360]), MAX_BYTES)
    assert long.tolist() == [b"a" * 16_360] * 2
