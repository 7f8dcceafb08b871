"""JSON to tensors and back; the expected values are NumPy's, or the examples of the API's page."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.rest.json_tensors import answer_body, parse_body
from serving.rest.rest_errors import RestError


def info(dtype: tf.DType, *shape: int | None) -> meta_graph_pb2.TensorInfo:
    made = meta_graph_pb2.TensorInfo(dtype=dtype.as_datatype_enum)
    made.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return made


STRINGS = {"name": info(tf.string, None)}
# The example of several named inputs in TensorFlow Serving's documentation.
SENSORS = {
    "tag": info(tf.string, None),
    "signal": info(tf.int32, None, 5),
    "sensor": info(tf.float32, None, 2, 2),
}


def tensors(body: Any, inputs: dict[str, meta_graph_pb2.TensorInfo]) -> dict[str, np.ndarray]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = parse_body(text).tensors(inputs)
    return {name: tf.make_ndarray(tensor) for name, tensor in made.items()}


def test_rows_and_columns_of_the_documentation_are_the_same_tensors() -> None:
    rows = [
        {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
        {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]},
    ]
    columns = {
        "tag": ["foo", "bar"],
        "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
        "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
    }
    for body in ({"instances": rows}, {"inputs": columns}):
        made = tensors(body, SENSORS)
        np.testing.assert_array_equal(made["tag"], np.array([b"foo", b"bar"], object))
        np.testing.assert_array_equal(made["signal"], np.int32(columns["signal"]))
        np.testing.assert_array_equal(made["sensor"], np.float32(columns["sensor"]))
        assert {name: array.dtype.name for name, array in made.items()} == {
            "tag": "object",
            "signal": "int32",
            "sensor": "float32",
        }


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_the_only_input_needs_no_name(key: str) -> None:
    (made,) = tensors({key: ["foo", {"b64": "/w=="}, "Täxi"]}, STRINGS).values()
    np.testing.assert_array_equal(made, np.array([b"foo", b"\xff", "Täxi".encode()], object))


def test_a_scalar_is_a_column_without_lists() -> None:
    assert tensors({"inputs": {"k": 3}}, {"k": info(tf.int32)})["k"] == np.int32(3)
    with pytest.raises(RestError, match='"k" is a scalar, which rows cannot hold'):
        tensors({"instances": [3]}, {"k": info(tf.int32)})


def test_numbers_that_json_does_not_have_are_read() -> None:
    body = b'{"inputs": [NaN, Infinity, -Infinity, 1e-3, 16777215]}'
    (made,) = tensors(body, {"x": info(tf.float32, None)}).values()
    np.testing.assert_array_equal(made, np.float32([np.nan, np.inf, -np.inf, 1e-3, 16_777_215]))


@pytest.mark.parametrize("dtype", [tf.int8, tf.int16, tf.int32, tf.int64, tf.uint32, tf.uint64])
def test_whole_numbers_have_the_bounds_of_their_dtype(dtype: tf.DType) -> None:
    inputs = {"x": info(dtype, None)}
    (made,) = tensors({"inputs": [dtype.min, dtype.max]}, inputs).values()
    np.testing.assert_array_equal(made, np.array([dtype.min, dtype.max], dtype.as_numpy_dtype))
    for value in (dtype.min - 1, dtype.max + 1, 1.0, True, "1", None):
        with pytest.raises(RestError, match=r"x: given .*, expected a value of"):
            tensors({"inputs": [value]}, inputs)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**24, tf.float32),
        (1e39, tf.float32),
        (2**53, tf.float64),
        (True, tf.float32),
        ("1", tf.float32),
        (1, tf.bool),
        (5, tf.string),
        (None, tf.string),
        ({"b64": "no base64!"}, tf.string),
        ({"b64": "YQ==", "more": 1}, tf.string),
        ("\ud800", tf.string),
    ],
)
def test_a_value_that_the_dtype_does_not_hold_is_refused(value: Any, dtype: tf.DType) -> None:
    with pytest.raises(RestError, match="x: given ") as refusal:
        tensors({"inputs": {"x": [value]}}, {"x": info(dtype, None)})
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON Parse error at character 0"),
        (b"\xff\xfe{", "JSON Parse error"),
        (b'{"inputs": [' + b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": ' + b"1" * 5_000 + b"}", "JSON Parse error"),
        ([], "expected an object"),
        ({}, 'expected one of "instances" and "inputs"'),
        ({"instances": ["a"], "inputs": ["a"]}, 'expected one of "instances" and "inputs"'),
        ({"inputs": ["a"], "signature_name": 3}, "signature_name: given 3, expected a string"),
        ({"instances": []}, "expected a list with at least one row"),
        ({"instances": {"tag": "a"}}, "expected a list with at least one row"),
        ({"instances": ["a"]}, "expected objects"),
        ({"instances": [{"tag": "a"}]}, r"instances\[0\]: expected an object"),
        ({"inputs": ["a"]}, "expected objects"),
        ({"inputs": {"tag": ["a"], "more": 1}}, 'missing: "sensor", "signal"; unknown: "more"'),
        (
            {"inputs": {"tag": ["a"], "signal": [[1], [1, 2]], "sensor": []}},
            "signal: expected lists of one size at level 2",
        ),
        (
            {"inputs": {"tag": ["a", ["b"]], "signal": [], "sensor": []}},
            "tag: expected no list at level 2",
        ),
        (
            {"inputs": {"tag": [["a"]], "signal": [], "sensor": []}},
            r"tag: given lists of 2 levels, expected 1: the signature takes \[\?\]",
        ),
    ],
)
def test_a_malformed_body_is_one_line(body: Any, text: str) -> None:
    with pytest.raises(RestError, match=text) as refusal:
        tensors(body, SENSORS)
    assert refusal.value.status == 400
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_answers_have_the_shapes_of_the_documentation() -> None:
    one = {"y": np.float32([3.5, 4.0, 5.5])}
    assert answer_body(one, in_rows=True) == b'{"predictions": [3.5, 4.0, 5.5]}'
    assert answer_body(one, in_rows=False) == b'{"outputs": [3.5, 4.0, 5.5]}'
    two = {"a": np.array([b"x", b"y"], object), "b": np.array([[1, 2], [3, 4]])}
    assert json.loads(answer_body(two, in_rows=True)) == {
        "predictions": [{"a": "x", "b": [1, 2]}, {"a": "y", "b": [3, 4]}]
    }
    assert json.loads(answer_body(two, in_rows=False)) == {
        "outputs": {"a": ["x", "y"], "b": [[1, 2], [3, 4]]}
    }


def test_floats_have_the_digits_of_their_own_type_and_the_tokens_of_their_infinities() -> None:
    values = np.float32([0.1, 1 / 3, 1e-10, 1e20, -0.0, np.nan, np.inf, -np.inf])
    text = answer_body({"y": values}, in_rows=False)
    assert b"[0.1, 0.33333334, 1e-10, 1e+20, -0.0, NaN, Infinity, -Infinity]" in text
    np.testing.assert_array_equal(np.float32(json.loads(text)["outputs"]), values)


def test_bytes_are_base64_by_name_or_by_need() -> None:
    outputs = {"image_bytes": np.array([b"a"], object), "text": np.array([b"a", b"\xff"], object)}
    assert json.loads(answer_body(outputs, in_rows=False)) == {
        "outputs": {"image_bytes": [{"b64": "YQ=="}], "text": ["a", {"b64": "/w=="}]}
    }


def test_outputs_of_several_lengths_are_no_rows() -> None:
    outputs = {"a": np.arange(2), "b": np.arange(3)}
    with pytest.raises(RestError, match="rows need one number of them"):
        answer_body(outputs, in_rows=True)
    with pytest.raises(RestError, match="rows need one number of them"):
        answer_body({"a": np.float32(1)}, in_rows=True)
