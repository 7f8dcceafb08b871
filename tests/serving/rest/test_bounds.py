"""The bounds on answers, with clients who read them slowly, over real connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving import web_server
from serving.defaults import LOOPBACK
from serving.rest.bounds import ANSWER, BoundedRequests, Bounds
from serving.rest.rest_errors import RestError, error_response
from serving.web_server import WebServer
from tests.serving.asking import SECONDS, wait_until

# More than the kernel takes from the server before the client reads.
LARGE = 32 * 2**20


async def _large(request: Request) -> Response:
    request.scope[ANSWER].hold(LARGE)
    return Response(b"1" * LARGE)


async def _small(_: Request) -> Response:
    return Response(b"1")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RestError)
    return error_response(error)


@contextmanager
def serving(bounds: Bounds) -> Iterator[int]:
    """The port of a server of a large and a small answer."""
    app = Starlette(
        routes=[Route("/large", _large), Route("/small", _small)],
        exception_handlers={RestError: _refused},
    )
    app.add_middleware(BoundedRequests, bounds=bounds)
    server = WebServer(app, LOOPBACK, 0)
    try:
        yield int(server.url.rstrip("/").rpartition(":")[2])
    finally:
        server.stop()


@contextmanager
def asking(port: int, path: str) -> Iterator[socket.socket]:
    """A connection that has asked, and reads nothing by itself."""
    with socket.socket() as client:
        # Otherwise the kernel would take most of the answer.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(SECONDS)
        client.connect((LOOPBACK, port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield client


def status(client: socket.socket) -> int:
    """The status code, as soon as it has come."""
    return int(client.recv(12).removeprefix(b"HTTP/1.1 "))


def status_of(port: int, path: str) -> int:
    with asking(port, path) as client:
        return status(client)


def test_a_large_answer_counts_until_the_client_has_read_it() -> None:
    with serving(Bounds(max_answer_bytes=LARGE)) as port, asking(port, "/large") as slow:
        assert status(slow) == 200
        assert status_of(port, "/large") == 429
        assert status_of(port, "/small") == 200
        head, _, body = slow.recv(4096).partition(b"\r\n\r\n")
        assert f"content-length: {LARGE}".encode() in head
        left = LARGE - len(body)
        while left:
            left -= len(slow.recv(min(left, 2**20)))
        wait_until(lambda: status_of(port, "/large") == 200)


def test_a_large_answer_counts_no_more_once_the_client_has_gone() -> None:
    with serving(Bounds(max_answer_bytes=LARGE)) as port:
        with asking(port, "/large") as slow:
            assert status(slow) == 200
            assert status_of(port, "/large") == 429
        wait_until(lambda: status_of(port, "/large") == 200)


def test_a_client_who_reads_too_slowly_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, cut_off: threading.Event
) -> None:
    monkeypatch.setattr(web_server.PatientProtocol, "read_seconds", 1.0)
    with serving(Bounds()) as port, asking(port, "/large") as slow, suppress(ConnectionError):
        # Enough for the connection to go on sending, and not for the whole answer.
        for _ in range(100 * SECONDS):
            slow.recv(4096)
            if cut_off.wait(0.01):
                break
    assert cut_off.is_set()
