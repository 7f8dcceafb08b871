"""The errors of a call to a model server, each with one clear line."""

from __future__ import annotations

from typing import Final

import grpc

from serving.client.retries import had_no_thread
from serving.errors import ServingError, one_line

_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
# A server that speaks TLS, or expects a client's certificate, hangs up on those it does not trust.
_SIGNS_OF_TLS: Final = ("SSL", "Tls", "security handshaker", "Socket closed", "Connection reset")


class CallError(ServingError):
    """A call got no answer.

    Attributes:
        code: gRPC's status code.
    """

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


class ServerUnavailableError(CallError):
    """No server answers at the address, or no connection to it can be trusted."""


class DeadlineExceededError(CallError):
    """No answer came in time."""


class RequestRefusedError(CallError):
    """The server refuses the request; the same request will not succeed, unless it was busy."""


class ServerFailedError(CallError):
    """The server or the connection broke down during the request."""


class WrongAnswerError(ServingError):
    """The server's answer is not one that an exported model's signature returns."""


class ClientClosedError(ServingError):
    """The client was closed before the call, or before its answer came."""

    def __init__(self) -> None:
        super().__init__("the client is closed: make another")


def call_error(error: grpc.RpcError, address: str, what: str, seconds: float) -> CallError:
    """Returns the error that a failed call raises.

    Args:
        error: gRPC's error with `code()` and `details()`, of a sync or an asyncio call.
        address: Address of the server.
        what: Signature, or another name of the call.
        seconds: Time that the call had.
    """
    code: grpc.StatusCode = error.code()
    text = one_line(error.details() or "no reason given")
    if had_no_thread(error):
        text = "all threads of the server are busy; try again later, or start it with more"
    if code == grpc.StatusCode.UNAVAILABLE:
        return ServerUnavailableError(f"{address}: {_unavailable(text)}", code)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError(
            f"{address}: no answer to {what} within {seconds:g} s; allow more time or request less",
            code,
        )
    if code in _REFUSALS:
        return RequestRefusedError(f"{address}: {what} refused ({code.name}): {text}", code)
    return ServerFailedError(f"{address}: {what} failed ({code.name}): {text}", code)


def _unavailable(text: str) -> str:
    """Returns the reason in few words, and what to do."""
    # gRPC lists all addresses that it tried before the last error.
    reason = text.rpartition("last error: ")[2].removeprefix("UNKNOWN: ")
    if any(sign in reason for sign in _SIGNS_OF_TLS):
        return (
            f"no connection, or a lost one ({reason}); check whether the server speaks TLS, and "
            "whether each side trusts the other's certificate"
        )
    return (
        f"the model server is unavailable ({reason}); start one with `movierec serve`, or give "
        "the address of a running one"
    )
