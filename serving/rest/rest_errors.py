"""The errors of the REST API: an HTTP status and a JSON object with one line."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

import grpc
from starlette.responses import Response

from serving.client.call_errors import (
    DeadlineExceededError,
    ServerUnavailableError,
    call_error,
)
from serving.errors import ServingError

_CLIENT_CLOSED_REQUEST: Final = 499
# As TensorFlow Serving translates them. What is not listed is 500.
_HTTP_STATUS: Final = {
    grpc.StatusCode.CANCELLED: _CLIENT_CLOSED_REQUEST,
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}


class RestError(ServingError):
    """A request is not answered.

    Attributes:
        status: HTTP status code.
        closes: Whether the connection ends with the answer, because the body was not read.
    """

    def __init__(self, status: int, text: str, *, closes: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.closes = closes


def bad_request(text: str) -> RestError:
    """Returns the error of a request that is itself at fault."""
    return RestError(HTTPStatus.BAD_REQUEST, text)


def of_failed_call(error: grpc.RpcError, target: str, what: str, seconds: float) -> RestError:
    """Returns the error of a request whose gRPC call failed, with the text of the model server.

    Args:
        error: gRPC's error with `code()` and `details()`.
        target: Address of the model server.
        what: Name of the call.
        seconds: Time that the call had.
    """
    told = call_error(error, target, what, seconds)
    by_gateway = isinstance(told, ServerUnavailableError | DeadlineExceededError)
    text = str(told) if by_gateway else error.details() or told.code.name
    return RestError(_HTTP_STATUS.get(told.code, HTTPStatus.INTERNAL_SERVER_ERROR), text)


def error_response(error: RestError) -> Response:
    """Returns the response: `{"error": TEXT}`."""
    content = json.dumps({"error": str(error)}, ensure_ascii=False).encode(errors="replace")
    headers = {"Connection": "close"} if error.closes else None
    return Response(content, error.status, headers, "application/json")
