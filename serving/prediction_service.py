"""PredictionService: Predict and GetModelMetadata."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2,
)

from serving.admission import Admission
from serving.metrics import UNKNOWN, Metrics
from serving.model_specs import ModelSpecs
from serving.request_error import RequestError, invalid, quoted
from serving.rpc_service import Method, parse, rpc_service

DESCRIPTOR: Final = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]

_SIGNATURE_DEF: Final = "signature_def"


@dataclass
class _Request:
    """What is known of a request beside its bytes.

    Attributes:
        deadline: in seconds of `time.monotonic`, None if there is none.
        abandoned: nobody waits for the answer any more.
        signature: as the metrics name it.
        arrived: in seconds of `time.monotonic`.
    """

    deadline: float | None
    abandoned: bool = False
    signature: str = UNKNOWN
    arrived: float = field(default_factory=time.monotonic)

    def seconds_left(self) -> float | None:
        """None if there is no deadline.

        Raises:
            RequestError: DEADLINE_EXCEEDED or CANCELLED; there is no use in an answer.
        """
        if self.abandoned:
            raise RequestError(grpc.StatusCode.CANCELLED, "the caller has gone")
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise RequestError(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the model was asked"
            )
        return left


class PredictionService:
    """Answers in an event loop; the model is called in the threads of an executor."""

    def __init__(
        self,
        specs: ModelSpecs,
        admission: Admission,
        metrics: Metrics,
        executor: Executor,
        max_message_bytes: int,
    ) -> None:
        """Takes what finds versions, counts requests and runs them."""
        self._specs = specs
        self._admission = admission
        self._metrics = metrics
        self._executor = executor
        self._max_message_bytes = max_message_bytes

    def handler(self) -> grpc.GenericRpcHandler:
        """Of the official service; Classify, Regress and MultiInference answer UNIMPLEMENTED."""
        methods: dict[str, Method] = {
            "Predict": self._predict,
            "GetModelMetadata": self._get_model_metadata,
        }
        return rpc_service(DESCRIPTOR, methods)

    async def _predict(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        left = context.time_remaining()
        request = _Request(None if left is None else time.monotonic() + left)
        try:
            self._admission.enter()
        except RequestError as error:
            self._observe("Predict", request, error.code)
            await context.abort(error.code, str(error))
        work = asyncio.get_running_loop().run_in_executor(self._executor, self._work, raw, request)
        try:
            # A request whose caller has gone keeps its place until a thread has thrown it away.
            return await asyncio.shield(work)
        except RequestError as error:
            await context.abort(error.code, str(error))
            raise
        finally:
            request.abandoned = True

    def _work(self, raw: bytes, request: _Request) -> bytes:
        code = grpc.StatusCode.UNKNOWN
        try:
            answer = self._answer(raw, request)
            code = grpc.StatusCode.OK
            return answer
        except RequestError as error:
            code = error.code
            raise
        finally:
            self._observe("Predict", request, code)
            self._admission.leave()

    def _answer(self, raw: bytes, request: _Request) -> bytes:
        request.seconds_left()
        message = parse(predict_pb2.PredictRequest, raw)
        if not message.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        with self._specs.lease(message.model_spec) as version:
            request.signature = version.signature(message.model_spec.signature_name).name
            response = version.predict(message, request.seconds_left())
        response.model_spec.name = self._specs.model_name
        answer = response.SerializeToString()
        if len(answer) > self._max_message_bytes:
            raise RequestError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the answer has {len(answer)} bytes, of at most {self._max_message_bytes}: ask in "
                "several requests",
            )
        return answer

    async def _get_model_metadata(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        request = _Request(None, signature="")
        code = grpc.StatusCode.OK
        try:
            return self._metadata(raw)
        except RequestError as error:
            code = error.code
            await context.abort(error.code, str(error))
            raise
        finally:
            self._observe("GetModelMetadata", request, code)

    def _metadata(self, raw: bytes) -> bytes:
        message = parse(get_model_metadata_pb2.GetModelMetadataRequest, raw)
        if not message.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not message.metadata_field:
            raise invalid(f"no metadata_field is given: expected {quoted(_SIGNATURE_DEF)}")
        for name in message.metadata_field:
            if name != _SIGNATURE_DEF:
                raise invalid(
                    f"Metadata field {quoted(name)} is not supported: expected "
                    f"{quoted(_SIGNATURE_DEF)}"
                )
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._specs.lease(message.model_spec) as version:
            response.model_spec.name = self._specs.model_name
            response.model_spec.version.value = version.number
            response.metadata[_SIGNATURE_DEF].CopyFrom(version.signature_defs)
        return response.SerializeToString()

    def _observe(self, method: str, request: _Request, code: grpc.StatusCode) -> None:
        self._metrics.observe(
            method, request.signature, code.name, time.monotonic() - request.arrived
        )
