"""SavedModels that do more than compute, each with one signature from a string to a string."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from models.signature_names import SERVING_DEFAULT

Body = Callable[[tf.Tensor], tf.Tensor]


def save(folder: Path, body: Body) -> Path:
    """Saves a model whose signature returns what the body makes of its input, in a list of one."""
    module = tf.Module()
    module.variable = tf.Variable(1.0)
    function = tf.function(lambda x: {"y": tf.reshape(body(x), [1])}, autograph=False)
    signature = function.get_concrete_function(tf.TensorSpec([], tf.string, name="x"))
    tf.saved_model.save(module, str(folder), signatures={SERVING_DEFAULT: signature})
    return folder


class _Initialised(tf.saved_model.experimental.TrackableResource):
    """A table whose initialiser writes a file, as soon as the model is loaded."""

    def __init__(self, written: Path) -> None:
        super().__init__()
        self._written = str(written)
        self._resource_handle = self._create_resource()

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self) -> tf.Tensor:
        tf.io.write_file(self._written, "here")
        return tf.constant(0)


def save_that_writes_when_loaded(folder: Path, written: Path) -> Path:
    module = tf.Module()
    module.table = _Initialised(written)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="x")], autograph=False)
    def identity(x: tf.Tensor) -> dict[str, tf.Tensor]:
        size = tf.raw_ops.LookupTableSizeV2(table_handle=module.table.resource_handle)
        return {"y": tf.strings.join([x, tf.strings.as_string(size)])}

    tf.saved_model.save(module, str(folder), signatures={SERVING_DEFAULT: identity})
    written.unlink(missing_ok=True)
    return folder


def _after(operation: Any, x: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([operation]):
        return tf.identity(x)


def _looked_up(x: tf.Tensor) -> tf.Tensor:
    handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.string)
    made = tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=handle, filename=x, key_index=-2, value_index=-2
    )
    return _after(made, x)


# By the op that does it.
HOSTILE: dict[str, Body] = {
    "ReadFile": tf.io.read_file,
    "WriteFile": lambda x: _after(tf.io.write_file(x, x), x),
    "MatchingFiles": lambda x: tf.strings.reduce_join(tf.io.matching_files(x)),
    "InitializeTableFromTextFileV2": _looked_up,
    "PyFunc": lambda x: tf.numpy_function(lambda y: y, [x], tf.string),
    "EagerPyFunc": lambda x: tf.py_function(lambda y: y, [x], tf.string),
    "PrintV2": lambda x: _after(tf.print(x, output_stream="file:///dev/null"), x),
    "SaveV2": lambda x: _after(
        tf.raw_ops.SaveV2(
            prefix=x, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
        ),
        x,
    ),
    "RestoreV2": lambda x: tf.raw_ops.RestoreV2(
        prefix=x, tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.string]
    )[0],
    "TextLineDataset": lambda x: next(iter(tf.data.TextLineDataset(x))),
    "TFRecordDataset": lambda x: next(iter(tf.data.TFRecordDataset(x))),
    "WholeFileReaderV2": lambda x: _after(tf.raw_ops.WholeFileReaderV2(), x),
    "DecodeProtoV2": lambda x: tf.io.decode_proto(
        x, "m", ["f"], [tf.string], descriptor_source="/a"
    ).values[0][0],
    "DebugIdentity": lambda x: tf.raw_ops.DebugIdentity(input=x, debug_urls=["file:///dev/null"]),
}
