from __future__ import annotations

import asyncio
import socket
import urllib.request

import grpc
import pytest

from serving.defaults import LOOPBACK
from serving.embedded.metrics import Metrics, MetricsPage
from serving.embedded.request_errors import RequestError
from serving.errors import ServingError


def metrics_of(in_flight: int = 0, versions: tuple[int, ...] = ()) -> Metrics:
    return Metrics(lambda: in_flight, lambda: versions)


def counted(metrics: Metrics, method: str, signature: str, code: str) -> float | None:
    return metrics.registry.get_sample_value(
        "movierec_requests_total", {"method": method, "signature": signature, "code": code}
    )


def test_requests_are_counted_by_what_they_ask_and_get() -> None:
    metrics = metrics_of()
    for _ in range(2):
        with metrics.observed("Predict") as observation:
            observation.signature = "recommend"
    with pytest.raises(RequestError), metrics.observed("Predict"):
        raise RequestError(grpc.StatusCode.NOT_FOUND, "")
    with pytest.raises(asyncio.CancelledError), metrics.observed("GetModelStatus"):
        raise asyncio.CancelledError
    with pytest.raises(ZeroDivisionError), metrics.observed("GetModelStatus"):
        raise ZeroDivisionError
    assert counted(metrics, "Predict", "recommend", "OK") == 2
    assert counted(metrics, "Predict", "", "NOT_FOUND") == 1
    assert counted(metrics, "GetModelStatus", "", "CANCELLED") == 1
    assert counted(metrics, "GetModelStatus", "", "UNKNOWN") == 1
    assert counted(metrics, "Predict", "recommend", "NOT_FOUND") is None


def test_each_request_is_timed() -> None:
    metrics = metrics_of()
    for _ in range(3):
        with metrics.observed("Predict"):
            pass
    labels = {"method": "Predict", "signature": ""}
    value = metrics.registry.get_sample_value
    assert value("movierec_request_seconds_count", labels) == 3
    assert value("movierec_request_seconds_bucket", labels | {"le": "+Inf"}) == 3


def test_the_state_is_read_when_it_is_asked_for() -> None:
    versions = {3}
    metrics = Metrics(lambda: len(versions), lambda: versions)
    value = metrics.registry.get_sample_value
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


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"{port}.*cannot be bound"):
            MetricsPage(metrics_of(), LOOPBACK, port)
