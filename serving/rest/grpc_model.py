"""A model server over gRPC, asked and answering in the JSON of TensorFlow Serving's REST API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from models.signature_names import SERVING_DEFAULT
from serving.client.retries import channel_options
from serving.embedded.request_errors import listed, quoted
from serving.embedded.tensor_codec import decode
from serving.rest.json_tensors import Inputs, answer_body, parse_body
from serving.rest.rest_errors import bad_request, of_failed_call

# TensorFlow Serving's own default for its REST API.
CALL_SECONDS: Final = 30.0
_SIGNATURE_DEF: Final = "signature_def"


@dataclass(frozen=True)
class ModelAddress:
    """The model that a path names.

    Attributes:
        name: Name of the model.
        version: Number of the version; None leaves it to the label or the server.
        label: Label of the version; None leaves it to the number or the server.
    """

    name: str
    version: int | None = None
    label: str | None = None

    def write(self, spec: model_pb2.ModelSpec) -> None:
        """Writes the model into the spec of a request."""
        spec.name = self.name
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label


class GrpcModel:
    """Answers requests in JSON by gRPC calls; threads may share it.

    A call is made once: a client that gets 503 or 429 decides whether to try again.
    """

    def __init__(
        self, target: str, max_message_bytes: int, call_seconds: float = CALL_SECONDS
    ) -> None:
        """Prepares a connection; the first call makes it.

        Args:
            target: `HOST:PORT` of the model server, which is asked without TLS.
            max_message_bytes: Largest message, in bytes.
            call_seconds: Seconds that the calls for one request may take together.
        """
        self._target = target
        self._max_message_bytes = max_message_bytes
        self._call_seconds = call_seconds
        self._channel = grpc.insecure_channel(
            target, channel_options(attempts=1, max_message_bytes=max_message_bytes)
        )
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def status(self, model: ModelAddress) -> bytes:
        """Returns the states of the versions.

        Raises:
            RestError: The server refuses the request or does not answer.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        model.write(request.model_spec)
        return _indented(_as_dict(self._call(self._models.GetModelStatus, request, self._end())))

    def metadata(self, model: ModelAddress) -> bytes:
        """Returns the signatures of a version.

        Raises:
            RestError: The server refuses the request or does not answer.
        """
        response, signatures = self._signatures(model, self._end())
        return _indented(
            {
                "model_spec": _as_dict(response.model_spec),
                "metadata": {_SIGNATURE_DEF: _as_dict(signatures)},
            }
        )

    def predict(self, model: ModelAddress, body: bytes, on_answer: Callable[[int], None]) -> bytes:
        """Returns the answer of a signature.

        Args:
            model: Model that the path names.
            body: Body of the request.
            on_answer: Function of the size of the model server's answer, in bytes, before it is
                turned into JSON. What it raises ends the request.

        Raises:
            RestError: The body is not what the signature takes, or the server refuses the request
                or does not answer.
        """
        end = self._end()
        asked = parse_body(body)
        request = predict_pb2.PredictRequest()
        model.write(request.model_spec)
        request.model_spec.signature_name = asked.signature_name
        inputs = self._inputs(model, asked.signature_name or SERVING_DEFAULT, end)
        for name, tensor in asked.tensors(inputs).items():
            request.inputs[name].CopyFrom(tensor)
        response = self._call(self._predictions.Predict, request, end)
        on_answer(response.ByteSize())
        outputs = {
            name: decode(tensor, self._max_message_bytes)
            for name, tensor in response.outputs.items()
        }
        return answer_body(outputs, asked.in_rows)

    def close(self) -> None:
        """Closes the connection and ends calls in flight."""
        self._channel.close()

    def _end(self) -> float:
        return time.monotonic() + self._call_seconds

    def _inputs(self, model: ModelAddress, signature: str, end: float) -> Inputs:
        _, signatures = self._signatures(model, end)
        if signature not in signatures.signature_def:
            # TensorFlow keeps the function that initialises a model among its signatures.
            known = listed(name for name in signatures.signature_def if not name.startswith("__"))
            raise bad_request(
                f"Serving signature name: {quoted(signature)} not found in signature def; expected "
                f"one of {known}"
            )
        return dict(signatures.signature_def[signature].inputs)

    def _signatures(
        self, model: ModelAddress, end: float
    ) -> tuple[
        get_model_metadata_pb2.GetModelMetadataResponse, get_model_metadata_pb2.SignatureDefMap
    ]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[_SIGNATURE_DEF])
        model.write(request.model_spec)
        response = self._call(self._predictions.GetModelMetadata, request, end)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[_SIGNATURE_DEF].Unpack(signatures)
        return response, signatures

    def _call(self, method: Callable[..., Any], request: Message, end: float) -> Any:
        try:
            return method(request, timeout=max(0.0, end - time.monotonic()))
        except grpc.RpcError as error:
            what = type(request).__name__
            raise of_failed_call(error, self._target, what, self._call_seconds) from error


def _as_dict(message: Message) -> dict[str, Any]:
    """Returns a message as TensorFlow Serving prints it, with the fields that are not set."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _indented(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, indent=1, ensure_ascii=False).encode()
