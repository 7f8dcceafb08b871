"""TensorFlow Serving's PredictionService: Predict and GetModelMetadata."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2,
)

from models.signature_names import PREDICT
from serving.embedded.admission import Admission, is_heavy
from serving.embedded.metrics import UNKNOWN, Metrics, Observation
from serving.embedded.request_errors import RequestError, invalid, quoted
from serving.embedded.request_log import RequestLog
from serving.embedded.rpc_service import Method, parse, rpc_service
from serving.embedded.served_versions import ModelSpecs

DESCRIPTOR: Final = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]

_SIGNATURE_DEF: Final = "signature_def"

# A version that takes longer to answer brief requests is called in a thread, not in the event loop.
BRIEF_SECONDS: Final = 0.005
# Largest brief request, in bytes, and in values by its shapes: a shape may ask for more values than
# the request holds.
_BRIEF_BYTES: Final = 8192
_BRIEF_VALUES: Final = 128


@dataclass
class Caller:
    """The caller of a request.

    Attributes:
        deadline: Deadline in seconds of `time.monotonic`; None if there is none.
        gone: Whether the caller no longer waits.
    """

    deadline: float | None
    gone: bool = False

    def seconds_left(self) -> float | None:
        """Returns the time to the deadline; None if there is none.

        Raises:
            RequestError: DEADLINE_EXCEEDED or CANCELLED; nobody needs an answer.
        """
        if self.gone:
            raise RequestError(grpc.StatusCode.CANCELLED, "the caller has gone")
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise RequestError(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the model was called"
            )
        return left


class PredictionService:
    """Answers in an event loop; the model is called in the threads of two executors.

    Heavy requests have threads of their own, so that light ones do not wait for them.

    A brief request that is the only one is answered in the loop itself: handing it to a thread and
    back would take half as long as the model does.
    """

    def __init__(
        self,
        specs: ModelSpecs,
        admission: Admission,
        metrics: Metrics,
        light: Executor,
        heavy: Executor,
        max_message_bytes: int,
        batched: bool,
        request_log: RequestLog | None = None,
    ) -> None:
        """Takes the parts of a server.

        Args:
            specs: Finds the version of a request.
            admission: Limits the number of requests.
            metrics: Counts requests.
            light: Threads that call the model for light requests.
            heavy: Threads that call the model for heavy requests.
            max_message_bytes: Largest answer, in bytes.
            batched: Whether `predict` waits for other requests, which it must not do in the loop.
            request_log: Log of answered requests; None writes none.
        """
        self._specs = specs
        self._admission = admission
        self._metrics = metrics
        self._light = light
        self._heavy = heavy
        self._max_message_bytes = max_message_bytes
        self._batched = batched
        self._request_log = request_log
        # A version, and the seconds that it took to answer a brief request.
        self._last_brief: tuple[int | None, float] = (None, math.inf)

    def handler(self) -> grpc.GenericRpcHandler:
        """Returns the handler; Classify, Regress and MultiInference are answered UNIMPLEMENTED."""
        methods: dict[str, Method] = {
            "Predict": self._predict,
            "GetModelMetadata": self._get_model_metadata,
        }
        return rpc_service(DESCRIPTOR, methods, self._metrics)

    async def _predict(
        self, raw: bytes, context: grpc.aio.ServicerContext, observation: Observation
    ) -> bytes:
        observation.signature = UNKNOWN
        left = context.time_remaining()
        caller = Caller(None if left is None else time.monotonic() + left)
        message = parse(predict_pb2.PredictRequest, raw)
        if not message.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        work = self._work_of(message, observation)
        self._admission.enter(work)
        brief = not self._batched and self._admission.inside == 1 and is_brief(message)
        if brief and self._newest_is_quick():
            return self._work(message, work, caller, brief)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def hand_over(done: Future[bytes]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, answer, done)

        # `run_in_executor` would take three more turns of the loop. A request whose caller has gone
        # counts until a thread has discarded it.
        executor = self._heavy if is_heavy(work) else self._light
        executor.submit(self._work, message, work, caller, brief).add_done_callback(hand_over)
        try:
            return await answer
        finally:
            caller.gone = True

    def _work_of(self, message: predict_pb2.PredictRequest, observation: Observation) -> int:
        """Returns the work of a request whose answer may be sent, and notes its signature."""
        with self._specs.lease(message.model_spec) as version:
            observation.signature = version.signature(message.model_spec.signature_name).name
            cost = version.costs.of(message)
        if cost.answer_bytes > self._max_message_bytes:
            raise self._too_large(f"would have at least {cost.answer_bytes} bytes")
        return cost.work

    def _work(
        self, message: predict_pb2.PredictRequest, work: int, caller: Caller, brief: bool
    ) -> bytes:
        try:
            return self._answer(message, caller, brief)
        finally:
            self._admission.leave(work)

    def _newest_is_quick(self) -> bool:
        """Returns whether the newest version is known to answer brief requests quickly."""
        version, seconds = self._last_brief
        return seconds <= BRIEF_SECONDS and version == self._specs.newest()

    def _answer(self, message: predict_pb2.PredictRequest, caller: Caller, brief: bool) -> bytes:
        with self._specs.lease(message.model_spec) as version:
            started = time.monotonic()
            response = version.predict(message, caller.seconds_left())
            seconds = time.monotonic() - started
            if brief:
                self._last_brief = version.number, seconds
            if self._request_log is not None:
                self._request_log.offer(message, version.number, version.population, seconds)
        response.model_spec.name = self._specs.model_name
        answer = response.SerializeToString()
        if len(answer) > self._max_message_bytes:
            raise self._too_large(f"has {len(answer)} bytes")
        return answer

    def _too_large(self, size: str) -> RequestError:
        return RequestError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"the answer {size}: expected at most {self._max_message_bytes}; send several requests",
        )

    async def _get_model_metadata(self, raw: bytes, *_: object) -> bytes:
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


def is_brief(message: predict_pb2.PredictRequest) -> bool:
    """Returns whether a request asks `predict`, of the newest version, about a few pairs."""
    spec = message.model_spec
    if spec.signature_name != PREDICT or spec.WhichOneof("version_choice"):
        return False
    shapes = ([size.size for size in value.tensor_shape.dim] for value in message.inputs.values())
    few = all(math.prod(shape) <= _BRIEF_VALUES for shape in shapes)
    return few and message.ByteSize() <= _BRIEF_BYTES


def _settle(answer: asyncio.Future[bytes], work: Future[bytes]) -> None:
    """Gives the result of the work to an answer that is still awaited."""
    if answer.done():
        return
    if work.cancelled():
        answer.cancel()
    elif (error := work.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(work.result())
