"""Requests from Hypothesis: each is answered, or refused with its reason."""

from __future__ import annotations

import grpc
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from models import features, signature_names
from tests.serving.asking import SECONDS, VERSION, Asked
from tests.serving.tiny_models import MODEL, POSITIVE, TYPES, pairs

METHOD = "/tensorflow.serving.PredictionService/Predict"
# Neither a mistake of the server nor one that it did not understand, and never too late.
CLIENTS_FAULT = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}
INPUTS = {
    signature_names.SERVING_DEFAULT: ["examples"],
    signature_names.PREDICT: [features.USER_ID, features.MOVIE_ID],
    signature_names.RECOMMEND: [features.USER_ID, signature_names.K],
    POSITIVE: ["x"],
    TYPES: ["numbers", "flags"],
}

STRINGS = (tf.string, "string_val", st.binary(max_size=6))
VALUES = {
    signature_names.K: (tf.int32, "int_val", st.integers(-(2**31), 2**31 - 1)),
    "x": (tf.float32, "float_val", st.floats(width=32)),
    "numbers": (tf.int64, "int64_val", st.integers(-(2**63), 2**63 - 1)),
    "flags": (tf.bool, "bool_val", st.booleans()),
}

made_up = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

sizes = st.one_of(st.integers(-2, 5), st.sampled_from([2**20, 2**31, 2**40, 2**63 - 1, -(2**63)]))
# Up to 23 are types, over 100 references to them; the rest there is not.
types = st.one_of(st.sampled_from([1, 3, 7, 9, 10]), st.integers(0, 130), st.integers(-5, 10**6))


@st.composite
def tensors(draw: st.DrawFn) -> tensor_pb2.TensorProto:
    made = tensor_pb2.TensorProto(dtype=draw(types))
    made.tensor_shape.unknown_rank = draw(st.integers(0, 9)) == 0
    for size in draw(st.lists(sizes, max_size=3)):
        made.tensor_shape.dim.add(size=size)
    made.tensor_content = draw(st.one_of(st.just(b""), st.binary(max_size=24)))
    made.string_val.extend(draw(st.lists(st.binary(max_size=6), max_size=4)))
    made.float_val.extend(draw(st.lists(st.floats(width=32), max_size=4)))
    made.int_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4)))
    made.int64_val.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2)))
    made.bool_val.extend(draw(st.lists(st.booleans(), max_size=2)))
    made.version_number = draw(st.sampled_from([0, 0, 0, 7]))
    return made


@st.composite
def sound_tensors(draw: st.DrawFn, name: str) -> tensor_pb2.TensorProto:
    """Draws tensors of the input's dtype, mostly with a shape that fits."""
    dtype, field, values = VALUES.get(name, STRINGS)
    made = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    found = draw(st.lists(values, min_size=name == signature_names.K, max_size=4))
    if name == "numbers":
        found *= 2
        made.tensor_shape.dim.add(size=len(found) // 2)
        made.tensor_shape.dim.add(size=2)
    elif name == signature_names.K:
        del found[1:]
    else:
        made.tensor_shape.dim.add(size=draw(st.sampled_from([len(found)] * 5 + [3, 100])))
    getattr(made, field).extend(found)
    return made


@st.composite
def requests(draw: st.DrawFn) -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest()
    made.model_spec.name = draw(st.one_of(st.just(MODEL), st.text(max_size=5)))
    signature = draw(st.one_of(st.sampled_from(sorted(INPUTS)), st.text(max_size=5)))
    made.model_spec.signature_name = signature
    if draw(st.integers(0, 4)) == 0:
        made.model_spec.version.value = draw(
            st.one_of(st.just(VERSION), st.integers(-(2**63), 2**63 - 1))
        )
    elif draw(st.integers(0, 4)) == 0:
        made.model_spec.version_label = draw(st.one_of(st.just("stable"), st.text(max_size=3)))
    names = INPUTS.get(signature, []) + draw(st.lists(st.text(max_size=4), max_size=1))
    for name in names:
        if draw(st.integers(0, 9)):
            made.inputs[name].CopyFrom(draw(st.one_of(sound_tensors(name), tensors())))
    made.output_filter.extend(
        draw(st.lists(st.sampled_from([features.RATING, "x", "", "sums"]), max_size=2))
    )
    return made


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The bytes of a sound request, some of them others."""
    message = bytearray(pairs([b"1", b"22"], [b"50", b""]).SerializeToString())
    for place in draw(st.lists(st.integers(0, len(message) - 1), min_size=1, max_size=4)):
        message[place] = draw(st.integers(0, 255))
    return bytes(message[draw(st.integers(0, 3)) :])


def answered_or_refused(asked: Asked, message: bytes) -> None:
    call = asked.channel.unary_unary(METHOD).future(message, timeout=SECONDS)
    if call.code() == grpc.StatusCode.OK:
        assert predict_pb2.PredictResponse.FromString(call.result()).outputs
    else:
        assert call.details()
        too_large = call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and call.details().startswith(
            "the answer would have"
        )
        assert too_large or call.code() in CLIENTS_FAULT, (call.code(), call.details())


@settings(made_up, max_examples=600)
@given(request_=requests())
def test_requests_made_up(asked: Asked, request_: predict_pb2.PredictRequest) -> None:
    answered_or_refused(asked, request_.SerializeToString())


@settings(made_up, max_examples=500)
@given(message=damaged())
def test_damaged_requests(asked: Asked, message: bytes) -> None:
    answered_or_refused(asked, message)


@settings(made_up, max_examples=300)
@given(message=st.binary(max_size=200))
def test_bytes_made_up(asked: Asked, message: bytes) -> None:
    answered_or_refused(asked, message)
