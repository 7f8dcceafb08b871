"""What can go wrong with a call to a model server, each as one clear line."""

from __future__ import annotations

from typing import Final

import grpc

from serving.errors import ServingError

# Of a server's own text: enough for a reason, not for a stack of graph nodes.
_MAX_TEXT: Final = 500

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


# A server that speaks TLS, or misses a client's certificate, hangs up on whom it does not trust.
_SIGNS_OF_TLS: Final = ("SSL", "Tls", "security handshaker", "Socket closed", "Connection reset")


class CallError(ServingError):
    """A call that was made has no answer.

    Attributes:
        code: that gRPC gave.
    """

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


class ServerUnavailableError(CallError):
    """Nobody answers at the address, or no connection to it can be trusted."""


class DeadlineExceededError(CallError):
    """There was no answer in time."""


class RequestRefusedError(CallError):
    """The server does not do what it was asked; asking again will not help unless it was busy."""


class ServerFailedError(CallError):
    """The server, or the connection to it, broke down over the request."""


class WrongAnswerError(ServingError):
    """The server's answer is not what the signatures of an exported model return."""


class ClientClosedError(ServingError):
    """A client was closed before the answer came, or before it was asked."""

    def __init__(self) -> None:
        super().__init__("the client is closed: make another")


def call_error(error: grpc.RpcError, address: str, what: str, seconds: float) -> CallError:
    """What a failed call is told as.

    Args:
        error: of the call, sync or not: with `code()` and `details()`.
        address: of the server.
        what: was called: a signature, or another name of the call.
        seconds: that it had.
    """
    code: grpc.StatusCode = error.code()
    text = one_line(error.details() or "no reason given")
    if code == grpc.StatusCode.UNAVAILABLE:
        return ServerUnavailableError(f"{address}: {_unavailable(text)}", code)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError(
            f"{address}: no answer to {what} within {seconds:g} s; allow more time or ask for less",
            code,
        )
    if code in _REFUSALS:
        return RequestRefusedError(f"{address}: {what} refused ({code.name}): {text}", code)
    return ServerFailedError(f"{address}: {what} failed ({code.name}): {text}", code)


def one_line(text: str) -> str:
    """A text from elsewhere, fit to print: one line, printable, of bounded length."""
    line = " ".join(text.split())
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return printable if len(printable) <= _MAX_TEXT else f"{printable[:_MAX_TEXT]}…"


def _unavailable(text: str) -> str:
    """The reason in few words, and what to do."""
    # gRPC puts what went wrong in the end behind all that it tried.
    reason = text.rpartition("last error: ")[2].removeprefix("UNKNOWN: ")
    if any(sign in reason for sign in _SIGNS_OF_TLS):
        return (
            f"no connection is made, or kept ({reason}); check whether the server speaks TLS, and "
            "whether each trusts the other's certificate"
        )
    return (
        f"the model server is unavailable ({reason}); start one with `movierec serve`, or give "
        "the address of one that runs"
    )
