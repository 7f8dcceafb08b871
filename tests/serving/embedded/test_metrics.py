from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

from serving.defaults import LOOPBACK
from serving.embedded import metrics
from serving.embedded.metrics import Metrics, MetricsPage
from serving.embedded.request_errors import RequestError
from serving.errors import ServingError
from tests.serving.asking import SECONDS, wait_until


def metrics_of(in_flight: int = 0, versions: tuple[int, ...] = ()) -> Metrics:
    return Metrics(lambda: in_flight, lambda: versions)


def counted(counts: Metrics, method: str, signature: str, code: str) -> float | None:
    return counts.registry.get_sample_value(
        "movierec_requests_total", {"method": method, "signature": signature, "code": code}
    )


def test_requests_are_counted_by_what_they_ask_and_get() -> None:
    counts = metrics_of()
    for _ in range(2):
        with counts.observed("Predict") as observation:
            observation.signature = "recommend"
    with pytest.raises(RequestError), counts.observed("Predict"):
        raise RequestError(grpc.StatusCode.NOT_FOUND, "")
    with pytest.raises(asyncio.CancelledError), counts.observed("GetModelStatus"):
        raise asyncio.CancelledError
    with pytest.raises(ZeroDivisionError), counts.observed("GetModelStatus"):
        raise ZeroDivisionError
    assert counted(counts, "Predict", "recommend", "OK") == 2
    assert counted(counts, "Predict", "", "NOT_FOUND") == 1
    assert counted(counts, "GetModelStatus", "", "CANCELLED") == 1
    assert counted(counts, "GetModelStatus", "", "UNKNOWN") == 1
    assert counted(counts, "Predict", "recommend", "NOT_FOUND") is None


def test_each_request_is_timed() -> None:
    counts = metrics_of()
    for _ in range(3):
        with counts.observed("Predict"):
            pass
    labels = {"method": "Predict", "signature": ""}
    value = counts.registry.get_sample_value
    assert value("movierec_request_seconds_count", labels) == 3
    assert value("movierec_request_seconds_bucket", labels | {"le": "+Inf"}) == 3


def test_the_state_is_read_when_it_is_asked_for() -> None:
    versions = {3}
    counts = Metrics(lambda: len(versions), lambda: versions)
    value = counts.registry.get_sample_value
    assert value("movierec_loaded_version", {"version": "3"}) == 1
    assert value("movierec_requests_in_flight") == 1
    versions.clear()
    assert value("movierec_loaded_version", {"version": "3"}) is None
    assert value("movierec_requests_in_flight") == 0


def test_two_servers_count_apart() -> None:
    first, second = metrics_of(), metrics_of()
    with first.observed("Predict"):
        pass
    assert counted(second, "Predict", "", "OK") is None


def test_the_page() -> None:
    page = MetricsPage(metrics_of(versions=(1, 20)), LOOPBACK, 0)
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{page.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
    finally:
        page.close()
    assert 'movierec_loaded_version{version="1"} 1.0' in lines
    assert 'movierec_loaded_version{version="20"} 1.0' in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


@pytest.fixture
def page() -> Iterator[MetricsPage]:
    page = MetricsPage(metrics_of(), LOOPBACK, 0)
    yield page
    page.close()


def ask(page: MetricsPage) -> bytes:
    """The status line; empty if the server hangs up."""
    with socket.create_connection((LOOPBACK, page.port), SECONDS) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        return connection.makefile("rb").readline()


def ask_until_answered(page: MetricsPage) -> None:
    def answered() -> bool:
        try:
            return b"200 OK" in ask(page)
        except ConnectionError:
            return False

    wait_until(answered)


def test_a_client_that_is_silent_is_hung_up_on(
    page: MetricsPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "SILENCE_SECONDS", 0.1)
    with socket.create_connection((LOOPBACK, page.port), SECONDS) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n")
        assert connection.recv(1) == b""


def test_a_client_that_sends_a_byte_now_and_then_is_hung_up_on(
    page: MetricsPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "CONNECTION_SECONDS", 0.3)
    with socket.create_connection((LOOPBACK, page.port), SECONDS) as connection:

        def hung_up() -> bool:
            try:
                connection.sendall(b"x")
            except ConnectionError:
                return True
            return False

        wait_until(hung_up)


def test_a_client_that_does_not_read_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(metrics, "SILENCE_SECONDS", 0.2)
    # More than the buffers of a connection hold.
    page = MetricsPage(Metrics(lambda: 0, lambda: range(200_000)), LOOPBACK, 0)
    try:
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(SECONDS)
            reader.connect((LOOPBACK, page.port))
            reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert reader.recv(1)
            ask_until_answered(page)
    finally:
        page.close()


def test_connections_are_bounded(page: MetricsPage) -> None:
    with ExitStack() as idle:
        for _ in range(metrics.MAX_CONNECTIONS):
            idle.enter_context(socket.create_connection((LOOPBACK, page.port), SECONDS))
        with socket.create_connection((LOOPBACK, page.port), SECONDS) as one_more:
            assert one_more.recv(1) == b""
    # Their places are free again.
    ask_until_answered(page)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"{port}.*cannot be bound"):
            MetricsPage(metrics_of(), LOOPBACK, port)
