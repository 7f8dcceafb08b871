"""TensorFlow's executor of a signature; test_prediction_service.py tests the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.embedded import signature

SIMPLE = "SINGLE_THREADED_EXECUTOR"
DEFAULT = ""
VALUES = tf.TensorSpec([None], tf.float32)


@tf.function
def doubled(values: tf.Tensor) -> tf.Tensor:
    return 2 * values


@tf.function
def one_by_one(values: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(doubled, values)


@tf.function
def positive(values: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.reduce_all(values > 0), lambda: values, lambda: -values)


@tf.function
def within_another(values: tf.Tensor) -> tf.Tensor:
    return one_by_one(values) + 1


def executor_of(function: Any) -> object:
    graph = function.get_concrete_function(VALUES).graph.as_graph_def()
    attributes = signature.call_attributes(graph)
    return dict(zip(attributes[::2], attributes[1::2], strict=True))["executor_type"]


def test_only_what_has_no_branch_and_no_loop_is_run_by_the_simple_one() -> None:
    functions = (doubled, one_by_one, positive, within_another)
    assert [executor_of(function) for function in functions] == [SIMPLE, *[DEFAULT] * 3]


def test_beside_a_gpu_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [tf.config.LogicalDevice(f"/device:{kind}:0", kind) for kind in ("CPU", "GPU")]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: devices)
    assert executor_of(doubled) == DEFAULT


def test_a_scalar_string_is_an_answer(tmp_path: Path) -> None:
    """NumPy has it as a bytes object, without a shape."""
    model = tf.Module()
    model.name_of_it = tf.function(lambda: {"name": tf.constant("movierec")}, input_signature=[])
    tf.saved_model.save(model, str(tmp_path), signatures={"name": model.name_of_it})
    loaded = tf.saved_model.load(str(tmp_path))
    one = signature.Signature("name", loaded.signatures["name"], max_bytes=100)
    response = predict_pb2.PredictResponse()
    one.encode(one.call({}), [], response.outputs)
    assert tf.make_ndarray(response.outputs["name"]) == b"movierec"
    assert response.outputs["name"].tensor_shape == tf.TensorShape([]).as_proto()
