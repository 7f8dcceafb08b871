"""The RPCs of an official service, by the methods that are offered here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from serving.request_error import invalid

# From the bytes of a request to those of its answer.
Method = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]
_Request = TypeVar("_Request", bound=Message)


def rpc_service(descriptor: Any, methods: Mapping[str, Method]) -> grpc.GenericRpcHandler:
    """Handlers of all methods of a service.

    Args:
        descriptor: of the service.
        methods: those that are offered; the others answer UNIMPLEMENTED.
    """
    return grpc.method_handlers_generic_handler(
        descriptor.full_name,
        {
            name: grpc.unary_unary_rpc_method_handler(
                methods.get(name) or _unimplemented(name, methods)
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


def _unimplemented(name: str, offered: Mapping[str, Method]) -> Method:
    async def refuse(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED, f"{name} is not offered: ask {', '.join(offered)}"
        )
        raise AssertionError  # abort has raised

    return refuse
