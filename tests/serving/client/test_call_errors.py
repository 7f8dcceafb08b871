import grpc
import pytest

from serving.client.call_errors import (
    CallError,
    DeadlineExceededError,
    RequestRefusedError,
    ServerFailedError,
    ServerUnavailableError,
    call_error,
)
from serving.errors import ServingError


class Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details


def told(code: grpc.StatusCode, details: str | None = "the reason") -> CallError:
    return call_error(Failed(code, details), "host:1", "recommend", 2.5)


KINDS = {
    "UNAVAILABLE": ServerUnavailableError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "INVALID_ARGUMENT": RequestRefusedError,
    "NOT_FOUND": RequestRefusedError,
    "FAILED_PRECONDITION": RequestRefusedError,
    "OUT_OF_RANGE": RequestRefusedError,
    "RESOURCE_EXHAUSTED": RequestRefusedError,
    "UNIMPLEMENTED": RequestRefusedError,
    "PERMISSION_DENIED": RequestRefusedError,
    "UNAUTHENTICATED": RequestRefusedError,
}


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_every_code_is_one_line_with_the_address(code: grpc.StatusCode) -> None:
    error = told(code)
    assert type(error) is KINDS.get(code.name, ServerFailedError)
    assert isinstance(error, ServingError)
    assert error.code == code
    assert str(error).startswith("host:1: ")
    assert len(str(error).splitlines()) == 1
    if code != grpc.StatusCode.DEADLINE_EXCEEDED:
        assert "the reason" in str(error)


def test_a_deadline_names_the_call_and_its_seconds() -> None:
    assert "no answer to recommend within 2.5 s" in str(told(grpc.StatusCode.DEADLINE_EXCEEDED))


def test_a_server_that_is_not_there_can_be_started() -> None:
    error = told(
        grpc.StatusCode.UNAVAILABLE,
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:1: "
        "Failed to connect to remote host: connect: Connection refused (111)",
    )
    assert "`movierec serve`" in str(error)
    assert "Connection refused" in str(error)
    assert "all addresses" not in str(error)


@pytest.mark.parametrize(
    "details",
    ["Ssl handshake failed: SSL_ERROR_SSL", "Tls handshake failed", "Socket closed",
     "Failed to create security handshaker."],
)  # fmt: skip
def test_a_connection_that_is_not_trusted_is_told_so(details: str) -> None:
    error = told(grpc.StatusCode.UNAVAILABLE, details)
    assert "certificate" in str(error)
    assert "movierec serve" not in str(error)


def test_no_reason_is_said_too() -> None:
    assert "no reason given" in str(told(grpc.StatusCode.INTERNAL, None))
