"""TensorFlow Serving's messages that tensorflow-serving-api leaves out, as its protos have them."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_INT64_VALUE = ".google.protobuf.Int64Value"
_STRING, _BOOL = _Field.TYPE_STRING, _Field.TYPE_BOOL


def _message(name: str, *fields: tuple[str, int, int | str]) -> Any:
    message = descriptor_pb2.DescriptorProto(name=name)
    for field_name, number, kind in fields:
        field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
        if isinstance(kind, str):
            field.type, field.type_name = _Field.TYPE_MESSAGE, kind
        else:
            field.type = kind
    return message


_FILE = descriptor_pb2.FileDescriptorProto(
    name="config.proto",
    package="tensorflow.serving",
    syntax="proto3",
    dependency=[wrappers_pb2.DESCRIPTOR.name],
    message_type=[
        _message(
            "SSLConfig",
            ("server_key", 1, _STRING),
            ("server_cert", 2, _STRING),
            ("custom_ca", 3, _STRING),
            ("client_verify", 4, _BOOL),
        ),
        _message("PrometheusConfig", ("enable", 1, _BOOL), ("path", 2, _STRING)),
        _message(
            "MonitoringConfig", ("prometheus_config", 1, ".tensorflow.serving.PrometheusConfig")
        ),
        _message(
            "BatchingParameters",
            ("max_batch_size", 1, _INT64_VALUE),
            ("batch_timeout_micros", 2, _INT64_VALUE),
            ("max_enqueued_batches", 3, _INT64_VALUE),
            ("num_batch_threads", 4, _INT64_VALUE),
        ),
    ],
)
_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
_POOL.AddSerializedFile(_FILE.SerializeToString())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(
        _POOL.FindMessageTypeByName(f"tensorflow.serving.{name}")
    )


SSLConfig = _class("SSLConfig")
MonitoringConfig = _class("MonitoringConfig")
BatchingParameters = _class("BatchingParameters")
