import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2,
    predict_pb2,
    prediction_service_pb2,
)

from serving.client import model_calls, wire_messages

PAIRS = [
    (wire_messages.TensorProto, tensor_pb2.TensorProto),
    (wire_messages.PredictRequest, predict_pb2.PredictRequest),
    (wire_messages.PredictResponse, predict_pb2.PredictResponse),
    (wire_messages.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
    (wire_messages.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
]


def shape(field: FieldDescriptor) -> dict[str, Any]:
    return {
        "number": field.number,
        "type": field.type,
        "label": field.is_repeated,
        "packed": field.is_packed,
        "message": field.message_type and field.message_type.full_name,
        "enum": field.enum_type and field.enum_type.full_name,
        "oneof": field.containing_oneof and field.containing_oneof.name,
    }


def assert_same(ours: Descriptor, theirs: Descriptor) -> None:
    assert ours.full_name == theirs.full_name
    assert ours.GetOptions().map_entry == theirs.GetOptions().map_entry
    for field in ours.fields:
        official = theirs.fields_by_name[field.name]
        assert shape(field) == shape(official), field.full_name
        if field.message_type:
            assert_same(field.message_type, official.message_type)
        if field.enum_type:
            assert {value.name: value.number for value in field.enum_type.values}.items() <= {
                value.name: value.number for value in official.enum_type.values
            }.items()


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_declared_field_is_the_official_one(ours: Any, theirs: Any) -> None:
    assert_same(ours.DESCRIPTOR, theirs.DESCRIPTOR)


def test_dtypes_and_methods_have_the_official_names_and_numbers() -> None:
    assert wire_messages.DT_FLOAT == types_pb2.DT_FLOAT
    assert wire_messages.DT_INT32 == types_pb2.DT_INT32
    assert wire_messages.DT_STRING == types_pb2.DT_STRING
    services = {
        model_calls.PREDICT_METHOD: prediction_service_pb2.DESCRIPTOR.services_by_name[
            "PredictionService"
        ].methods_by_name["Predict"],
        model_calls.STATUS_METHOD: model_service_pb2.DESCRIPTOR.services_by_name[
            "ModelService"
        ].methods_by_name["GetModelStatus"],
    }
    for path, method in services.items():
        assert path == f"/{method.containing_service.full_name}/{method.name}"
    assert set(model_calls.METHODS) == set(services)


def test_bytes_go_both_ways() -> None:
    official = predict_pb2.PredictRequest(output_filter=["score"])
    official.model_spec.name = "movierec"
    official.model_spec.version.value = 7
    official.model_spec.signature_name = "recommend"
    official.inputs["user_id"].CopyFrom(tf.make_tensor_proto(["1", "ü"]))
    official.inputs["rating"].CopyFrom(tf.make_tensor_proto(np.float32([[1, 2], [3, 4]])))
    ours = wire_messages.PredictRequest.FromString(official.SerializeToString())
    assert ours.inputs["user_id"].string_val == [b"1", "ü".encode()]
    assert ours.model_spec.version.value == 7
    assert predict_pb2.PredictRequest.FromString(ours.SerializeToString()) == official


def test_what_is_not_declared_is_kept() -> None:
    official = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT64, int64_val=[1, 2])
    ours = wire_messages.TensorProto.FromString(official.SerializeToString())
    assert ours.dtype == types_pb2.DT_INT64
    assert tensor_pb2.TensorProto.FromString(ours.SerializeToString()) == official


@pytest.mark.parametrize("module", ["serving.client.client", "serving.client.async_client"])
def test_a_client_imports_no_tensorflow(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "print([n for n in sys.modules if n.split('.')[0].startswith('tensorflow')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
