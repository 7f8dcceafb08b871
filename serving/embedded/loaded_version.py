"""One version of a model in memory: loading it, warming it up, and calling its signatures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import grpc
import tensorflow as tf
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_log_pb2

from models.export.training_population import read_population
from models.export.warm_up import MAX_WARM_UP_REQUESTS, WARM_UP_FILE
from models.signature_names import PREDICT, SERVING_DEFAULT
from serving import allowed_ops
from serving.embedded.batching import Batcher, QueueFullError
from serving.embedded.request_cost import RequestCosts
from serving.embedded.request_errors import RequestError, unknown_signature
from serving.embedded.signature import Signature
from serving.embedded.tensor_codec import Array
from serving.errors import UnreadableModelError
from serving.saved_model import error_reason, load_saved_model
from serving.server_options import BatchingOptions

# Size of a TFRecord without its data: a length and two checksums.
_RECORD_BYTES: Final = 16


class LoadedVersion:
    """A version that can be called.

    Attributes:
        number: Number of the version.
        signature_defs: Description of its signatures, a SignatureDefMap.
        costs: Costs of requests to it.
        population: Its training data, for the request log; None if that is not wanted or known.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        max_bytes: int,
        batching: BatchingOptions | None = None,
        *,
        check_ops: bool = True,
        read_training: bool = False,
    ) -> None:
        """Loads the SavedModel in the version's folder.

        Args:
            number: Number of the version.
            folder: Folder of the version.
            max_bytes: Memory in bytes for values that a request's tensors leave out.
            batching: How `predict` is batched; None calls the model for each request.
            check_ops: Whether to refuse ops that are not allowed.
            read_training: Whether to read what the model says about its training data.

        Raises:
            UnreadableModelError: It is damaged, holds an op that is not allowed, or cannot be
                called over gRPC.
        """
        self.number = number
        if check_ops:
            # Loading would run its initialisers.
            allowed_ops.check_ops(folder)
        # The signatures live only as long as the loaded object.
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
        self.costs = RequestCosts(self._loaded)
        self.population = read_population(folder) if read_training else None

    def signature(self, name: str) -> Signature:
        """Returns the signature of a name; the empty name stands for the default one.

        Raises:
            RequestError: FAILED_PRECONDITION; there is no such signature.
        """
        signature = self._signatures.get(name or SERVING_DEFAULT)
        if signature is None:
            raise unknown_signature(name or SERVING_DEFAULT, self._signatures)
        return signature

    def predict(
        self, request: predict_pb2.PredictRequest, timeout_seconds: float | None
    ) -> predict_pb2.PredictResponse:
        """Calls the signature that the request names.

        Args:
            request: Request; the version in its model_spec is ignored.
            timeout_seconds: Time left to the request; None for no limit.

        Returns:
            The outputs, with the version and the signature in model_spec.

        Raises:
            RequestError: The request is at fault, or the model refuses its values.
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

    def warm_up(self, folder: Path) -> int:
        """Answers the warm-up requests in the version's folder, if it has any.

        Args:
            folder: Folder of the version.

        Returns:
            The number of requests to Predict that were answered.

        Raises:
            UnreadableModelError: The file is damaged or too long, or a request fails.
        """
        file = folder / WARM_UP_FILE
        if not file.is_file():
            return 0
        answered = 0
        for number, log in enumerate(_warm_up_logs(file), start=1):
            if number > MAX_WARM_UP_REQUESTS:
                raise UnreadableModelError(
                    f"{file}: expected at most {MAX_WARM_UP_REQUESTS} warm-up requests"
                )
            if log.WhichOneof("log_type") != "predict_log":
                continue
            try:
                self.predict(log.predict_log.request, timeout_seconds=None)
            except RequestError as error:
                raise UnreadableModelError(f"{file}: warm-up request {number}: {error}") from error
            answered += 1
        return answered

    def close(self) -> None:
        """Unloads the model; no request may be in flight."""
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
        raise RequestError(grpc.StatusCode.UNAVAILABLE, str(error)) from error
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


def _warm_up_logs(file: Path) -> Iterator[prediction_log_pb2.PredictionLog]:
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    number = size = 0
    while True:
        number += 1
        try:
            record = next(records)
            size += len(record) + _RECORD_BYTES
            yield prediction_log_pb2.PredictionLog.FromString(record)
        except StopIteration:
            break
        except tf.errors.OpError as error:
            raise UnreadableModelError(
                f"{file}: record {number}: {error_reason(str(error))}"
            ) from error
        except DecodeError as error:
            raise UnreadableModelError(
                f"{file}: record {number}: expected a PredictionLog"
            ) from error
    try:
        expected = file.stat().st_size
    except OSError as error:
        raise UnreadableModelError(f"{file}: {error.strerror}") from error
    # TensorFlow takes an incomplete record header for the end of the file.
    if size != expected:
        raise UnreadableModelError(f"{file}: record {number}: cut off")
