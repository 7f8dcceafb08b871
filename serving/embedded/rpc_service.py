"""The RPCs of an official service, by the methods that are offered here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from serving.embedded.metrics import Metrics, Observation
from serving.embedded.request_error import RequestError, invalid

# From the bytes of a request to those of its answer; raises RequestError.
Method = Callable[[bytes, grpc.aio.ServicerContext, Observation], Awaitable[bytes]]
_Request = TypeVar("_Request", bound=Message)

# What gRPC's C++ servers, TensorFlow Serving among them, answer where a message is missing.
_NO_MESSAGE: Final = grpc.StatusCode.INTERNAL


def rpc_service(
    descriptor: Any, methods: Mapping[str, Method], metrics: Metrics
) -> grpc.GenericRpcHandler:
    """Handlers of all methods of a service, each of which takes one message and answers one.

    Messages beyond the first are not read, as by gRPC's C++ servers.

    Args:
        descriptor: of the service.
        methods: those that are offered; the others answer UNIMPLEMENTED.
        metrics: where each request is counted.
    """
    return grpc.method_handlers_generic_handler(
        descriptor.full_name,
        {
            # Not `unary_unary`, which never answers a stream that ends without a message.
            name: grpc.stream_unary_rpc_method_handler(
                _responding(name, methods.get(name) or _unimplemented(name, methods), metrics)
            )
            for name in descriptor.methods_by_name
        },
    )


def parse(message: type[_Request], raw: bytes) -> _Request:
    """The request, if it is one.

    Raises:
        RequestError: INVALID_ARGUMENT; they are no such message.
    """
    try:
        return message.FromString(raw)
    except DecodeError as error:
        raise invalid(f"the request is damaged: expected a {message.__name__}") from error


def _responding(
    name: str, method: Method, metrics: Metrics
) -> Callable[[object, grpc.aio.ServicerContext], Awaitable[bytes]]:
    async def respond(_: object, context: grpc.aio.ServicerContext) -> bytes:
        # Outside of what is observed: a request counts, and its time runs, once it has arrived.
        raw = await context.read()
        try:
            with metrics.observed(name) as observation:
                if raw is grpc.aio.EOF:
                    raise RequestError(
                        _NO_MESSAGE, f"{name}: expected one message, and the stream ended with none"
                    )
                return await method(raw, context, observation)
        except RequestError as error:
            await context.abort(error.code, str(error))
            raise

    return respond


def _unimplemented(name: str, offered: Mapping[str, Method]) -> Method:
    async def refuse(*_: object) -> bytes:
        raise RequestError(
            grpc.StatusCode.UNIMPLEMENTED, f"{name} is not offered: ask {', '.join(offered)}"
        )

    return refuse
