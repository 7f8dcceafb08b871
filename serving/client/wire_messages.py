"""The messages of TensorFlow Serving that the client sends and reads.

`tensorflow_serving.apis` imports TensorFlow, which takes seconds; a client needs only the messages.
They are declared here with the names, numbers and types of the official protos, in a descriptor
pool of their own, so that both can be used in one process. Fields that the client does not use are
left out: protobuf keeps fields that it does not know.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

DT_FLOAT: Final = 1
DT_INT32: Final = 3
DT_STRING: Final = 7

_Field = descriptor_pb2.FieldDescriptorProto
_WRAPPERS = "google/protobuf/wrappers.proto"
_TENSORFLOW = "tensorflow"
_SERVING = "tensorflow.serving"


def _field(name: str, number: int, kind: int | str, *, repeated: bool = False) -> Any:
    """Returns a field; its kind is a scalar type, or the full name of a message."""
    field = _Field(
        name=name,
        number=number,
        label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
    )
    if isinstance(kind, str):
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{kind}"
    else:
        field.type = kind
    return field


def _enum_field(name: str, number: int, enum: str) -> Any:
    return _Field(
        name=name,
        number=number,
        label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_ENUM,
        type_name=f".{enum}",
    )


def _message(name: str, *fields: Any, **parts: Any) -> Any:
    return descriptor_pb2.DescriptorProto(name=name, field=fields, **parts)


def _enum(name: str, **numbers: int) -> Any:
    return descriptor_pb2.EnumDescriptorProto(
        name=name,
        value=[
            descriptor_pb2.EnumValueDescriptorProto(name=value, number=number)
            for value, number in numbers.items()
        ],
    )


def _tensors_entry(name: str) -> Any:
    """Returns the entry message of a map from names to tensors."""
    entry = _message(
        name,
        _field("key", 1, _Field.TYPE_STRING),
        _field("value", 2, f"{_TENSORFLOW}.TensorProto"),
    )
    entry.options.map_entry = True
    return entry


def _tensor_file() -> Any:
    dimension = _message("Dim", _field("size", 1, _Field.TYPE_INT64))
    return descriptor_pb2.FileDescriptorProto(
        name="movierec/tensor.proto",
        package=_TENSORFLOW,
        syntax="proto3",
        message_type=[
            _message(
                "TensorShapeProto",
                _field("dim", 2, f"{_TENSORFLOW}.TensorShapeProto.Dim", repeated=True),
                _field("unknown_rank", 3, _Field.TYPE_BOOL),
                nested_type=[dimension],
            ),
            _message(
                "TensorProto",
                _enum_field("dtype", 1, f"{_TENSORFLOW}.DataType"),
                _field("tensor_shape", 2, f"{_TENSORFLOW}.TensorShapeProto"),
                _field("tensor_content", 4, _Field.TYPE_BYTES),
                _field("float_val", 5, _Field.TYPE_FLOAT, repeated=True),
                _field("int_val", 7, _Field.TYPE_INT32, repeated=True),
                _field("string_val", 8, _Field.TYPE_BYTES, repeated=True),
            ),
        ],
        enum_type=[
            _enum(
                "DataType", DT_INVALID=0, DT_FLOAT=DT_FLOAT, DT_INT32=DT_INT32, DT_STRING=DT_STRING
            )
        ],
    )


def _model_spec() -> Any:
    spec = _message(
        "ModelSpec",
        _field("name", 1, _Field.TYPE_STRING),
        _field("version", 2, "google.protobuf.Int64Value"),
        _field("version_label", 4, _Field.TYPE_STRING),
        _field("signature_name", 3, _Field.TYPE_STRING),
        oneof_decl=[descriptor_pb2.OneofDescriptorProto(name="version_choice")],
    )
    for field in spec.field:
        if field.name in ("version", "version_label"):
            field.oneof_index = 0
    return spec


def _serving_file(tensor_file: str) -> Any:
    spec = _field("model_spec", 1, f"{_SERVING}.ModelSpec")
    return descriptor_pb2.FileDescriptorProto(
        name="movierec/serving.proto",
        package=_SERVING,
        syntax="proto3",
        dependency=[tensor_file, _WRAPPERS],
        message_type=[
            _model_spec(),
            _message(
                "PredictRequest",
                spec,
                _field("inputs", 2, f"{_SERVING}.PredictRequest.InputsEntry", repeated=True),
                _field("output_filter", 3, _Field.TYPE_STRING, repeated=True),
                nested_type=[_tensors_entry("InputsEntry")],
            ),
            _message(
                "PredictResponse",
                _field("outputs", 1, f"{_SERVING}.PredictResponse.OutputsEntry", repeated=True),
                nested_type=[_tensors_entry("OutputsEntry")],
            ),
            _message("GetModelStatusRequest", spec),
            _message("StatusProto", _field("error_message", 2, _Field.TYPE_STRING)),
            _message(
                "ModelVersionStatus",
                _field("version", 1, _Field.TYPE_INT64),
                _enum_field("state", 2, f"{_SERVING}.ModelVersionStatus.State"),
                _field("status", 3, f"{_SERVING}.StatusProto"),
                enum_type=[
                    _enum(
                        "State", UNKNOWN=0, START=10, LOADING=20, AVAILABLE=30, UNLOADING=40, END=50
                    )
                ],
            ),
            _message(
                "GetModelStatusResponse",
                _field("model_version_status", 1, f"{_SERVING}.ModelVersionStatus", repeated=True),
            ),
        ],
    )


def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    tensor_file = _tensor_file()
    for file in (tensor_file, _serving_file(tensor_file.name)):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _pool()


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


TensorProto = _class(f"{_TENSORFLOW}.TensorProto")
PredictRequest = _class(f"{_SERVING}.PredictRequest")
PredictResponse = _class(f"{_SERVING}.PredictResponse")
GetModelStatusRequest = _class(f"{_SERVING}.GetModelStatusRequest")
GetModelStatusResponse = _class(f"{_SERVING}.GetModelStatusResponse")
ModelVersionStatus = _class(f"{_SERVING}.ModelVersionStatus")
