"""The options of a server, its start and its end."""

from __future__ import annotations

import queue
import signal
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from models import features
from serving.client.model_calls import PREDICT_METHOD
from serving.defaults import LOOPBACK
from serving.embedded.server import ModelServer, wait_for_signal
from serving.embedded.version_watcher import VersionWatcher
from serving.errors import ServingError
from serving.ports import free_port
from serving.server_options import BatchingOptions, ServerOptions
from serving.tls import ServerTls
from tests.serving.asking import SECONDS, Asked, Calls, asking, refused, running, wait_until
from tests.serving.tiny_models import MODEL, SLOW, pairs, predict_request, push, rating

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def options(tiny_model: Path, tmp_path: Path) -> ServerOptions:
    base_path = tmp_path / "base"
    push(tiny_model, base_path, 1)
    return ServerOptions(MODEL, base_path, port=0)


def refuses_to_start(options: ServerOptions) -> str:
    server = ModelServer(options)
    with pytest.raises(ServingError) as refusal:
        server.start()
    server.stop()
    return str(refusal.value)


def answered(asked: Asked) -> bool:
    users, movies = [b"a", b"bcd"], [b"ef", b""]
    answer = asked.predictions.Predict(pairs(users, movies), timeout=SECONDS)
    found = answer.outputs[features.RATING].float_val
    return bool(np.array_equal(found, rating(users, movies)))


def test_a_folder_without_a_version(options: ServerOptions, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "none"):
        assert f"{folder}: no version" in refuses_to_start(replace(options, base_path=folder))


def test_a_version_that_does_not_load_is_named(options: ServerOptions) -> None:
    (options.base_path / "1" / "saved_model.pb").write_bytes(b"no model")
    text = refuses_to_start(options)
    assert "version 1: " in text
    assert "no readable SavedModel" in text


def test_a_port_that_is_taken(options: ServerOptions) -> None:
    with running(options) as server:
        text = refuses_to_start(replace(options, port=server.port))
        assert f"{LOOPBACK}:{server.port}: cannot be bound" in text
        refuses_to_start(replace(options, metrics_port=server.port))
        with asking(server.port) as asked:
            assert answered(asked)


def test_the_port_is_free_again_when_no_version_loads(options: ServerOptions) -> None:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    refuses_to_start(replace(options, port=port, base_path=options.base_path / "none"))
    with running(replace(options, port=port)) as server:
        assert server.port == port


def test_files_that_are_no_certificate(options: ServerOptions, tmp_path: Path) -> None:
    pem = tmp_path / "a.pem"
    assert f"{pem}: " in refuses_to_start(replace(options, tls=ServerTls(pem, pem)))
    pem.write_text("no certificate")
    assert str(pem) in refuses_to_start(replace(options, tls=ServerTls(pem, pem)))


def test_whatever_breaks_the_start_leaves_the_port_free(
    options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = replace(options, port=free_port(LOOPBACK))

    def interrupted(self: VersionWatcher) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(VersionWatcher, "poll", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ModelServer(started).start()
    with running(started) as server:
        assert server.port == started.port


def test_no_port_before_the_start(options: ServerOptions) -> None:
    server = ModelServer(options)
    with pytest.raises(ServingError, match="not been started"):
        _ = server.port
    assert server.metrics_port is None
    server.stop()


def test_a_host_of_version_6(options: ServerOptions) -> None:
    try:
        with socket.socket(socket.AF_INET6) as there:
            there.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with (
        running(replace(options, host="::1", metrics_port=0)) as server,
        grpc.insecure_channel(f"[::1]:{server.port}") as channel,
    ):
        check = health_pb2_grpc.HealthStub(channel).Check
        assert check(health_pb2.HealthCheckRequest(), timeout=SECONDS).status == SERVING
        with urllib.request.urlopen(f"http://[::1]:{server.metrics_port}/metrics") as page:
            assert b"movierec_loaded_version" in page.read()


def test_what_is_counted(options: ServerOptions) -> None:
    with running(replace(options, metrics_port=0)) as server, asking(server.port) as asked:
        assert answered(asked)
        for name in ("a", "b"):
            refused(
                lambda name=name: asked.predictions.Predict(
                    predict_request(name, {}), timeout=SECONDS
                )
            )
        refused(lambda: asked.predictions.Predict(predict_request("predict", {}), timeout=SECONDS))
        with urllib.request.urlopen(f"http://{LOOPBACK}:{server.metrics_port}/metrics") as page:
            lines = page.read().decode().splitlines()
    counts = {line for line in lines if line.startswith("movierec_requests_total{")}
    assert counts == {
        'movierec_requests_total{code="OK",method="Predict",signature="predict"} 1.0',
        'movierec_requests_total{code="INVALID_ARGUMENT",method="Predict",signature="predict"} 1.0',
        'movierec_requests_total{code="FAILED_PRECONDITION",method="Predict",'
        'signature="unknown"} 2.0',
    }
    assert 'movierec_loaded_version{version="1"} 1.0' in lines
    assert "movierec_requests_in_flight 0.0" in lines


def test_streams_that_end_without_a_message_are_counted(options: ServerOptions) -> None:
    with running(replace(options, metrics_port=0)) as server, asking(server.port) as asked:
        call = asked.channel.stream_unary(PREDICT_METHOD)
        for _ in range(2):
            assert call.future(iter([])).exception(SECONDS) is not None
        with urllib.request.urlopen(f"http://{LOOPBACK}:{server.metrics_port}/metrics") as page:
            lines = page.read().decode().splitlines()
    assert 'movierec_requests_total{code="INTERNAL",method="Predict",signature=""} 2.0' in lines
    assert "movierec_requests_in_flight 0.0" in lines


def test_requests_in_batches_have_each_its_own_answer(options: ServerOptions) -> None:
    batching = BatchingOptions(max_batch_size=8, timeout_micros=5000)
    with running(replace(options, batching=batching)) as server, asking(server.port) as asked:

        def ask(number: int) -> bool:
            users = [b"u" * (number + row) for row in range(number % 11)]
            movies = [b"m" * row for row in range(number % 11)]
            answer = asked.predictions.Predict(pairs(users, movies), timeout=SECONDS)
            found = answer.outputs[features.RATING].float_val
            return bool(np.array_equal(found, rating(users, movies)))

        with ThreadPoolExecutor(16) as callers:
            assert all(callers.map(ask, range(200)))
        code, text = refused(
            lambda: asked.predictions.Predict(pairs([b"a"], [b"b", b"c"]), timeout=SECONDS)
        )
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "as many rows" in text


def test_while_it_drains_it_says_so_and_takes_no_more(options: ServerOptions, calls: Calls) -> None:
    server = ModelServer(replace(options, drain_seconds=SECONDS))
    server.start()
    with asking(server.port) as asked, calls.held(SLOW) as free:
        health = health_pb2_grpc.HealthStub(asked.channel)
        watched = health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert next(watched).status == SERVING
        slow = asked.predictions.Predict.future(
            predict_request(SLOW, {"seconds": np.float64(0)}), timeout=SECONDS
        )
        wait_until(lambda: calls.signatures == [SLOW])
        stops = [threading.Thread(target=server.stop) for _ in range(2)]
        for stop in stops:
            stop.start()
        assert next(watched).status == NOT_SERVING
        checked = health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert checked.status == NOT_SERVING
        code, text = refused(
            lambda: asked.predictions.Predict(pairs([b"a"], [b"b"]), timeout=SECONDS)
        )
        assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        free.set()
        assert slow.result().outputs
        assert list(watched) == []
        for stop in stops:
            stop.join()
    server.stop()


def test_what_takes_longer_than_the_drain_is_broken_off(
    options: ServerOptions, calls: Calls
) -> None:
    with (
        running(replace(options, drain_seconds=0.1)) as server,
        asking(server.port) as asked,
        calls.held(SLOW),
    ):
        slow = asked.predictions.Predict.future(
            predict_request(SLOW, {"seconds": np.float64(0)}), timeout=SECONDS
        )
        wait_until(lambda: calls.signatures == [SLOW])
        assert not server.stop()
        assert slow.code() == grpc.StatusCode.UNAVAILABLE


def test_a_server_that_has_nothing_to_do_any_more_says_so(options: ServerOptions) -> None:
    server = ModelServer(options)
    server.start()
    with asking(server.port) as asked:
        assert answered(asked)
    assert server.stop()
    assert server.stop()


def test_a_signal_that_does_not_break_off_the_wait_is_heeded() -> None:
    """A signal may arrive between the interpreter's last step and the wait."""
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    before = signal.signal(signal.SIGUSR1, lambda number, _: signals.put(number))
    # What another thread receives does not wake the main one, whose handler it is.
    receiver = threading.Timer(0.1, lambda: signal.pthread_kill(receiver.ident, signal.SIGUSR1))
    given_up = threading.Event()

    def give_up() -> None:
        given_up.set()
        signals.put(0)

    end = threading.Timer(SECONDS, give_up)
    try:
        receiver.start()
        end.start()
        wait_for_signal(signals)
        assert not given_up.is_set()
    finally:
        end.cancel()
        receiver.join()
        signal.signal(signal.SIGUSR1, before)
