"""A client of the candidate in its server, over gRPC with TensorFlow Serving's own stubs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from models.export.sample_requests import Inputs, predict_request
from serving.errors import ServerUnavailableError, ServingError, one_line

Outputs = dict[str, np.ndarray[Any, np.dtype[Any]]]

_SECONDS_PER_REQUEST: Final = 30.0
_METADATA_FIELD: Final = "signature_def"
# A server also lists signatures of TensorFlow's own, such as that of the initializer.
_INTERNAL_PREFIX: Final = "__"
# The proxy that the environment names does not lead to this machine.
_CHANNEL_OPTIONS: Final = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1))


# The server is gone, too slow or too full: that may be over at the next attempt.
_PASSING: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
)


class UnservableModelError(ServingError):
    """A model in a server does not answer as it must; the message is the reason, in one line."""


@dataclass(frozen=True)
class Answer:
    """Outputs by name, and the seconds from sending the request to receiving the response."""

    outputs: Outputs
    seconds: float


class Candidate:
    """The model that a server serves under a name."""

    def __init__(self, channel: grpc.Channel, model_name: str) -> None:
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._model_name = model_name

    def signatures(self) -> list[str]:
        """Returns the names of all signatures that can be called.

        Raises:
            UnservableModelError: The server refuses to answer.
            ServerUnavailableError: It cannot be reached.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = self._model_name
        request.metadata_field.append(_METADATA_FIELD)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with _explained("GetModelMetadata"):
            response = self._stub.GetModelMetadata(request, timeout=_SECONDS_PER_REQUEST)
        response.metadata[_METADATA_FIELD].Unpack(signatures)
        names = signatures.signature_def
        return sorted(name for name in names if not name.startswith(_INTERNAL_PREFIX))

    def ask(self, signature: str, inputs: Inputs) -> Answer:
        """Sends one request.

        Raises:
            UnservableModelError: The answer is an error.
            ServerUnavailableError: No answer comes in time.
        """
        request: predict_pb2.PredictRequest = predict_request(self._model_name, signature, inputs)
        started = time.perf_counter()
        with _explained(signature):
            response = self._stub.Predict(request, timeout=_SECONDS_PER_REQUEST)
        seconds = time.perf_counter() - started
        outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
        return Answer(outputs, seconds)


@contextmanager
def connected(address: str, model_name: str) -> Iterator[Candidate]:
    """Yields the model of this name at `host:port`, over an unencrypted connection."""
    with grpc.insecure_channel(address, options=_CHANNEL_OPTIONS) as channel:
        yield Candidate(channel, model_name)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        detail = one_line(str(error.details()))
        kind = ServerUnavailableError if error.code() in _PASSING else UnservableModelError
        raise kind(f"{what}: {error.code().name}: {detail}") from error
