"""TensorFlow's executor of a signature; test_prediction_service.py tests the answers."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

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
