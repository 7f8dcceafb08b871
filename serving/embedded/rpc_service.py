"""gRPC handlers of an official service, made of the methods that this server offers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from serving.embedded.metrics import Metrics, Observation
from serving.embedded.request_errors import RequestError, invalid

_LOGGER: Final = logging.getLogger(__name__)

# Takes a serialized request and returns its serialized answer; raises RequestError.
Method = Callable[[bytes, grpc.aio.ServicerContext, Observation], Awaitable[bytes]]
_Request = TypeVar("_Request", bound=Message)

# The code with which gRPC's C++ servers, such as TensorFlow Serving, answer a missing message.
_NO_MESSAGE: Final = grpc.StatusCode.INTERNAL


def rpc_service(
    descriptor: Any, methods: Mapping[str, Method], metrics: Metrics
) -> grpc.GenericRpcHandler:
    """Returns handlers for all methods of a service; each takes one message and answers one.

    Like gRPC's C++ servers, they do not read messages beyond the first.

    Args:
        descriptor: Descriptor of the service.
        methods: Offered methods by name; the others are answered UNIMPLEMENTED.
        metrics: Counts each request.
    """
    return grpc.method_handlers_generic_handler(
        descriptor.full_name,
        {
            # `unary_unary` would never answer a stream that ends without a message.
            name: grpc.stream_unary_rpc_method_handler(
                _responding(name, methods.get(name) or _unimplemented(name, methods), metrics)
            )
            for name in descriptor.methods_by_name
        },
    )


def parse(message: type[_Request], raw: bytes) -> _Request:
    """Returns the message in the bytes of a request.

    Raises:
        RequestError: INVALID_ARGUMENT; the bytes are no such message.
    """
    try:
        return message.FromString(raw)
    except DecodeError as error:
        raise invalid(f"the request is damaged: expected a {message.__name__}") from error


def _responding(
    name: str, method: Method, metrics: Metrics
) -> Callable[[object, grpc.aio.ServicerContext], Awaitable[bytes]]:
    async def respond(_: object, context: grpc.aio.ServicerContext) -> bytes:
        # A request is counted and timed once it has arrived.
        raw = await context.read()
        try:
            with metrics.observed(name) as observation:
                if raw is grpc.aio.EOF:
                    raise RequestError(
                        _NO_MESSAGE, f"{name}: expected one message, and the stream ended with none"
                    )
                return await _answer(method, raw, context, observation)
        except RequestError as error:
            await context.abort(error.code, str(error))
            raise

    async def _answer(
        method: Method, raw: bytes, context: grpc.aio.ServicerContext, observation: Observation
    ) -> bytes:
        try:
            return await method(raw, context, observation)
        except RequestError:
            raise
        except Exception as error:
            # gRPC would send the text of any other error, which may name files of this machine.
            _LOGGER.exception("%s failed", name)
            raise RequestError(
                grpc.StatusCode.INTERNAL, f"{name} failed; the log of the server says why"
            ) from error

    return respond


def _unimplemented(name: str, offered: Mapping[str, Method]) -> Method:
    async def refuse(*_: object) -> bytes:
        raise RequestError(
            grpc.StatusCode.UNIMPLEMENTED, f"{name} is not offered: call {', '.join(offered)}"
        )

    return refuse
