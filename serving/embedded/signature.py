"""One signature of a SavedModel, called with TensorProtos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, tensor_pb2
from tensorflow.python.eager import context, execute
from tensorflow.python.framework import ops

from serving.embedded.request_errors import (
    RequestError,
    graph_error,
    invalid,
    listed,
    public_text,
    quoted,
)
from serving.embedded.tensor_codec import Array, decode, dtype_name, encode, shape_text, supported
from serving.errors import UnreadableModelError
from serving.saved_model import error_reason

# Operations that choose a function or repeat one. TensorFlow's simple executor runs a graph without
# them, in the calling thread.
_CONTROL_FLOW: Final = frozenset(
    {"Case", "If", "StatelessCase", "StatelessIf", "StatelessWhile", "While"}
    | {"Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch"}
)
_SIMPLE_EXECUTOR: Final = "SINGLE_THREADED_EXECUTOR"


class Signature:
    """A function of the model, with checks of its inputs."""

    def __init__(self, name: str, function: Any, max_bytes: int) -> None:
        """Reads the inputs and outputs of the function.

        Args:
            name: Name in requests.
            function: `tf.ConcreteFunction` among the signatures of a loaded SavedModel.
            max_bytes: Memory in bytes for values that a request's tensors leave out.

        Raises:
            UnreadableModelError: An input or output has a type that cannot be sent.
        """
        self.name = name
        self._max_bytes = max_bytes
        self._inputs: dict[str, tf.TensorSpec] = dict(function.structured_input_signature[1])
        self._outputs: dict[str, tf.TensorSpec] = dict(function.structured_outputs)
        for key, spec in (*self._inputs.items(), *self._outputs.items()):
            if not isinstance(spec, tf.TensorSpec) or not supported(spec.dtype):
                raise UnreadableModelError(
                    f"signature {name}: {key} is {spec}, which cannot be sent"
                )
        # A public call would bind, check, copy and pack the arguments again, which is half of the
        # time of a small request. Flat arguments and results are in the order of their names.
        self._flat_names = sorted(self._inputs)
        self._flat_outputs = sorted(self._outputs)
        self._function_name = function._inference_function.name.decode()
        self._captured = list(function.captured_inputs)
        self._attributes = call_attributes(function.graph.as_graph_def())

    def decode(self, protos: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, Array]:
        """Returns the inputs as arrays.

        Raises:
            RequestError: INVALID_ARGUMENT; an input is missing, unknown or malformed, or has
                another dtype or shape than expected.
        """
        if protos.keys() != self._inputs.keys():
            raise self._wrong_names(protos)
        return {name: self._decode_one(name, proto) for name, proto in protos.items()}

    def check_outputs(self, names: Sequence[str]) -> None:
        """Checks the outputs that a request asks for.

        Raises:
            RequestError: INVALID_ARGUMENT; an output is unknown or is named twice.
        """
        for name in names:
            if name not in self._outputs:
                raise invalid(
                    f"output {quoted(name)} is not in signature {quoted(self.name)}: expected "
                    f"some of {listed(self._outputs)}"
                )
        if len(set(names)) < len(names):
            raise invalid(f"an output is named twice: {listed(names)}")

    def call(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the outputs for arrays that `decode` returned.

        Raises:
            RequestError: The model refuses the values, or fails.
        """
        eager = context.context()
        flat = [
            ops.EagerTensor(
                inputs[name], eager.device_name, self._inputs[name].dtype.as_datatype_enum
            )
            for name in self._flat_names
        ]
        try:
            results = execute.quick_execute(
                self._function_name,
                len(self._flat_outputs),
                [*flat, *self._captured],
                self._attributes,
                eager,
            )
        except tf.errors.OpError as error:
            raise graph_error(error) from error
        except UnicodeDecodeError as error:
            # The text of the graph's error quotes bytes of the request, and its code is lost.
            text = error_reason(error.object.decode(errors="replace"))
            raise invalid(public_text(text)) from error
        return {
            name: _array(tensor) for name, tensor in zip(self._flat_outputs, results, strict=True)
        }

    def encode(
        self,
        outputs: Mapping[str, Array],
        names: Sequence[str],
        protos: Mapping[str, tensor_pb2.TensorProto],
    ) -> None:
        """Writes outputs into a response.

        Args:
            outputs: Outputs that `call` returned.
            names: Names of the outputs to write; all if empty.
            protos: Map of the response, which makes an entry at the first access.
        """
        for name in names or self._flat_outputs:
            encode(outputs[name], protos[name])

    def _decode_one(self, name: str, proto: tensor_pb2.TensorProto) -> Array:
        spec = self._inputs[name]
        shape = [dimension.size for dimension in proto.tensor_shape.dim]
        if proto.dtype != spec.dtype.as_datatype_enum or not _fits(shape, spec.shape):
            raise invalid(
                f"input {quoted(name)} of signature {quoted(self.name)}: expected "
                f"{_spec_text(spec)}, got {dtype_name(proto)} {shape_text(shape)}"
            )
        try:
            return decode(proto, self._max_bytes)
        except RequestError as error:
            raise invalid(f"input {quoted(name)}: {error}") from error

    def _wrong_names(self, given: Mapping[str, tensor_pb2.TensorProto]) -> RequestError:
        return invalid(
            f"signature {quoted(self.name)} takes {listed(self._inputs)}; missing: "
            f"{listed(self._inputs.keys() - given.keys())}; unknown: "
            f"{listed(given.keys() - self._inputs.keys())}"
        )


def call_attributes(graph: graph_pb2.GraphDef) -> tuple[object, ...]:
    """Returns the attributes of each call of a function: names and values in turn.

    Spreading the operations of a small graph over threads takes longer than running them. With a
    GPU, the simple executor would wait forever for values from the other device.
    """
    attributes = dict(context.context().function_call_options.as_attrs())
    nodes = chain(graph.node, *(function.node_def for function in graph.library.function))
    one_device = len(tf.config.list_logical_devices()) == 1
    if one_device and _CONTROL_FLOW.isdisjoint(node.op for node in nodes):
        attributes["executor_type"] = _SIMPLE_EXECUTOR
    return tuple(chain.from_iterable(attributes.items()))


def _array(tensor: tf.Tensor) -> Array:
    """Returns the values as an array, also where NumPy has a bytes object for a scalar string."""
    value = tensor.numpy()
    return value if hasattr(value, "shape") else np.array(value, np.object_)


def _fits(shape: Sequence[int], expected: tf.TensorShape) -> bool:
    """Returns whether the rank and each fixed size are as expected."""
    if expected.rank is None:
        return True
    return len(shape) == expected.rank and all(
        wanted is None or size == wanted
        for size, wanted in zip(shape, expected.as_list(), strict=True)
    )


def _spec_text(spec: tf.TensorSpec) -> str:
    shape = "any shape" if spec.shape.rank is None else shape_text(spec.shape.as_list())
    return f"{spec.dtype.name} {shape}"
