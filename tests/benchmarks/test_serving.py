from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from benchmarks import serving
from benchmarks.serving import Figures, Latencies, Measured, Workload
from models.signature_names import PREDICT
from serving.errors import ServingError
from serving.launch import readiness
from serving.server_options import ServerOptions
from tests.benchmarks.rendering import rows
from tests.serving.fake_programs import FakePrograms
from tests.serving.pushed_versions import available, push

# Where one thread waits for another that ended, nothing else would end the test.
pytestmark = pytest.mark.timeout(120)

CLIENTS = 4
SECONDS = 0.05
ONE_PAIR = Workload("one pair", PREDICT, [{"user_id": np.array(["1"])}])


class Stub:
    """Makes clients that note what they are asked; `fails` says of a client's call whether to."""

    def __init__(self, fails: Callable[[int, int], bool] = lambda client, call: False) -> None:
        self.asked: dict[int, list[str]] = {}
        self._fails = fails

    def __call__(self) -> Callable[[str], object]:
        client = len(self.asked)
        own: list[str] = []
        self.asked[client] = own

        def call(request: str) -> None:
            own.append(request)
            if self._fails(client, len(own)):
                raise RuntimeError(f"client {client}")

        return call


def test_every_answer_of_every_client_counts_but_the_first() -> None:
    stub = Stub()
    requests = ["a", "b", "c"]
    found = serving.ask(stub, requests, CLIENTS, SECONDS)
    assert len(stub.asked) == CLIENTS
    assert len(found.seconds) == sum(len(own) - 1 for own in stub.asked.values()) > 0
    assert max(found.seconds) <= found.elapsed
    for first, *others in stub.asked.values():
        assert first == "a"
        # In turn, from wherever this client begins.
        begin = requests.index(others[0]) if others else 0
        assert others == [requests[(begin + n) % 3] for n in range(len(others))]


def test_what_the_first_call_of_one_client_raises_is_raised() -> None:
    stub = Stub(lambda client, number: client == 2)
    with pytest.raises(RuntimeError, match="client 2"):
        serving.ask(stub, ["a"], CLIENTS, SECONDS)


def test_what_later_calls_raise_is_raised() -> None:
    stub = Stub(lambda client, number: number == 3)
    with pytest.raises(RuntimeError, match="client 0"):
        serving.ask(stub, ["a"], CLIENTS, seconds=60)
    assert [len(own) for own in stub.asked.values()] == [3] * CLIENTS


def test_percentiles_are_in_milliseconds_and_the_rate_is_of_all_clients() -> None:
    # 1 ms to 101 ms: the middle one, and the last but one.
    found = Latencies([n / 1000 for n in range(101, 0, -1)], elapsed=20.2).figures()
    assert found.p50_ms == pytest.approx(51)
    assert found.p99_ms == pytest.approx(100)
    assert found.per_second == pytest.approx(5)


def test_what_a_server_adds_is_over_the_bare_call_of_its_own_line() -> None:
    measured = [
        Measured(
            "one pair",
            clients,
            {
                "bare call": Figures(0.5 * clients, 1.0, 1234.4),
                "embedded": Figures(2.25 * clients, 4.0, 99.6),
            },
        )
        for clients in (1, 8)
    ]
    assert rows(serving.as_table(measured)) == [
        ["", "clients", "server", "p50 ms", "p99 ms", "a second", "adds ms at p50"],
        ["one pair", "1", "bare call", "0.50", "1.00", "1,234", ""],
        ["", "", "embedded", "2.25", "4.00", "100", "1.75"],
        ["one pair", "8", "bare call", "4.00", "1.00", "1,234", ""],
        ["", "", "embedded", "18.00", "4.00", "100", "14.00"],
    ]


@pytest.fixture
def stuck() -> Iterator[str]:
    """The address of a server that takes requests and never answers them."""
    over = threading.Event()

    def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
        over.wait()
        return b""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(wait)

    server = grpc.server(ThreadPoolExecutor(CLIENTS), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    over.set()
    server.stop(None).wait()


def test_a_server_that_does_not_answer_ends_the_measurement(
    stuck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "ANSWER_SECONDS", 0.2)
    model = SimpleNamespace(signatures={PREDICT: lambda **inputs: {}})
    measured = serving.measure(model, {"stuck server": stuck}, [ONE_PAIR], SECONDS)
    with pytest.raises(ServingError, match=r"^stuck server, one pair: DEADLINE_EXCEEDED: "):
        list(measured)


@pytest.fixture
def programs(tmp_path: Path) -> FakePrograms:
    made = FakePrograms(tmp_path / "programs")
    made.status(available(7))
    return made


def test_tensorflow_serving_is_asked_over_tcp_as_the_embedded_server_is(
    programs: FakePrograms, tmp_path: Path
) -> None:
    base_path = push(tmp_path / "models", 7)
    with serving.tensorflow_serving(programs.add_binary(), base_path) as address:
        host, port = address.split(":")
        assert host == "127.0.0.1"
        (arguments,) = programs.calls("tensorflow_model_server")
        assert f"--port={port}" in arguments
        options = ServerOptions("movierec", base_path)
        assert readiness.served_versions(address, options) == [7]
    assert readiness.served_versions(address, options) == []


def test_tensorflow_serving_that_ends_says_why(programs: FakePrograms, tmp_path: Path) -> None:
    binary = programs.add_binary(log=["no room"], exit_code=3)
    with (
        pytest.raises(ServingError, match=r"exit code 3\): no room"),
        serving.tensorflow_serving(binary, push(tmp_path / "models", 7)),
    ):
        pass


def test_without_a_pushed_model_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no pushed model"):
        serving.main(tmp_path)
