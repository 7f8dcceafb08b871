"""One version of a model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from models.signature_names import PREDICT, SERVING_DEFAULT
from serving.embedded.batching import Batcher, QueueFullError
from serving.embedded.request_error import RequestError, listed, quoted
from serving.embedded.signature import Signature
from serving.embedded.tensor_codec import Array
from serving.errors import UnreadableModelError
from serving.saved_model import load_saved_model
from serving.server_options import BatchingOptions


class LoadedVersion:
    """The signatures of a version, and their description.

    Attributes:
        number: of the version.
        signature_defs: a SignatureDefMap.
    """

    def __init__(
        self, number: int, folder: Path, max_bytes: int, batching: BatchingOptions | None = None
    ) -> None:
        """Loads the SavedModel in the version's folder.

        Args:
            number: of the version.
            folder: of the version.
            max_bytes: of memory for values that a request does not hold itself.
            batching: of `predict`; None calls the model for each request.

        Raises:
            UnreadableModelError: it is damaged, or cannot be asked over gRPC.
        """
        self.number = number
        # The signatures live only as long as what was loaded.
        self._loaded = load_saved_model(folder)
        self._signatures = {
            name: Signature(name, function, max_bytes)
            for name, function in getattr(self._loaded, "signatures", {}).items()
        }
        if not self._signatures:
            raise UnreadableModelError(f"{folder}: the SavedModel has no signatures")
        self._batchers = {
            name: Batcher(signature.call, batching)
            for name, signature in self._signatures.items()
            if batching is not None and name == PREDICT
        }
        self.signature_defs = _signature_defs(folder)

    def signature(self, name: str) -> Signature:
        """The signature of a name; the default one of the empty name.

        Raises:
            RequestError: FAILED_PRECONDITION, as TensorFlow Serving has it; there is none.
        """
        found = self._signatures.get(name or SERVING_DEFAULT)
        if found is None:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Serving signature key {quoted(name or SERVING_DEFAULT)} not found. "
                f"Expected one of {listed(self._signatures)}.",
            )
        return found

    def predict(
        self, request: predict_pb2.PredictRequest, timeout_seconds: float | None
    ) -> predict_pb2.PredictResponse:
        """Calls the signature that the request names.

        Args:
            request: whatever version its model_spec names.
            timeout_seconds: left to the request; None is any time.

        Returns:
            The outputs; model_spec names the version and the signature.

        Raises:
            RequestError: the request is at fault, or the model refuses its values.
        """
        signature = self.signature(request.model_spec.signature_name)
        signature.check_outputs(request.output_filter)
        inputs = signature.decode(request.inputs)
        batcher = self._batchers.get(signature.name)
        if batcher is None:
            outputs: Mapping[str, Array] = signature.call(inputs)
        else:
            outputs = _batched(batcher, inputs, timeout_seconds)
        response = predict_pb2.PredictResponse()
        response.model_spec.version.value = self.number
        response.model_spec.signature_name = signature.name
        signature.encode(outputs, request.output_filter, response.outputs)
        return response

    def close(self) -> None:
        """Lets go of the model; no request may be in hand."""
        for batcher in self._batchers.values():
            batcher.close()
        self._batchers = {}
        self._signatures = {}
        self._loaded = None


def _batched(
    batcher: Batcher, inputs: Mapping[str, Array], timeout_seconds: float | None
) -> Mapping[str, Array]:
    try:
        return batcher.submit(inputs, timeout_seconds)
    except QueueFullError as error:
        raise RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
    except TimeoutError as error:
        raise RequestError(
            grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed while a batch was answered"
        ) from error


def _signature_defs(folder: Path) -> any_pb2.Any:
    file = folder / "saved_model.pb"
    try:
        graph = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs[0]
    except (OSError, DecodeError, IndexError) as error:
        raise UnreadableModelError(f"{file}: changed or removed while it was loaded") from error
    packed = any_pb2.Any()
    packed.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=graph.signature_def))
    return packed
