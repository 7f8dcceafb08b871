"""A model server in this process, for where TensorFlow Serving is not to be had."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc
from grpc_health.v1 import health_pb2_grpc

from serving import model_service, prediction_service
from serving.admission import Admission
from serving.errors import ServingError
from serving.health import Health
from serving.loaded_version import LoadedVersion
from serving.metrics import Metrics, MetricsPage
from serving.model_specs import ModelSpecs
from serving.served_versions import ServedVersions
from serving.server_options import ServerOptions
from serving.version_states import VersionStates
from serving.version_watcher import VersionWatcher
from serving.warmup_replay import replay

# More threads than cores only wait for each other.
_WORKERS: Final = max(2, os.cpu_count() or 1)
# Seconds for answers that are on their way when the time to drain is over.
_LAST_ANSWERS_SECONDS: Final = 1.0

_T = TypeVar("_T")


class ModelServer:
    """TensorFlow Serving's Predict, GetModelMetadata and GetModelStatus for one model."""

    def __init__(self, options: ServerOptions) -> None:
        """Does nothing yet."""
        self._options = options
        self._served = ServedVersions()
        self._states = VersionStates()
        self._admission = Admission(options.max_concurrent_requests)
        self._metrics = Metrics(lambda: self._admission.inside, self._served.numbers)
        self._specs = ModelSpecs(options.model_name, options.version_labels, self._served)
        self._watcher = VersionWatcher(
            options.base_path,
            frozenset(options.version_labels.values()),
            self._load,
            self._served,
            self._states,
            self._tell_health,
        )
        self._executor = ThreadPoolExecutor(_workers(options), thread_name_prefix="predict")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="grpc", daemon=True)
        self._health: Health | None = None
        self._server: grpc.aio.Server | None = None
        self._answering = False
        self._port: int | None = None
        self._page: MetricsPage | None = None
        self._stopping = threading.Lock()
        self._stopped = False

    def start(self) -> None:
        """Loads the newest version that loads, and answers requests when this returns.

        Raises:
            ServingError: no version loads, a port is taken, or a TLS file cannot be used.
        """
        self._thread.start()
        try:
            self._in_loop(self._bind())
            if self._options.metrics_port is not None:
                self._page = MetricsPage(
                    self._metrics, self._options.host, self._options.metrics_port
                )
            self._watcher.poll()
            if not self._served.numbers():
                raise ServingError(self._why_nothing_loads())
            self._in_loop(self._answer())
        except ServingError:
            self.stop()
            raise
        self._watcher.start(self._options.poll_seconds)

    @property
    def port(self) -> int:
        """Of gRPC, really bound.

        Raises:
            ServingError: the server has not been started.
        """
        if self._port is None:
            raise ServingError("the server has not been started")
        return self._port

    @property
    def metrics_port(self) -> int | None:
        """Really bound; None if there are none."""
        return None if self._page is None else self._page.port

    def stop(self) -> None:
        """Refuses new requests, finishes those in flight within the time to drain, and ends.

        May be called again, and by any thread.
        """
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                self._drain_and_end()

    def _drain_and_end(self) -> None:
        until = time.monotonic() + self._options.drain_seconds
        self._admission.close()
        if self._health is not None:
            self._in_loop(self._health.set_serving(False))
        self._watcher.stop()
        self._admission.wait_until_empty(max(0.0, until - time.monotonic()))
        if self._server is not None:
            self._in_loop(self._end(max(_LAST_ANSWERS_SECONDS, until - time.monotonic())))
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._page is not None:
            self._page.close()
        for number in self._served.numbers():
            self._served.retire(number)
        self._served.unload_idle()

    async def _bind(self) -> None:
        limit = self._options.max_message_bytes
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                # Two servers on one port would each get some of the requests.
                ("grpc.so_reuseport", 0),
            ]
        )
        prediction = prediction_service.PredictionService(
            self._specs, self._admission, self._metrics, self._executor, limit
        )
        model = model_service.ModelService(self._specs, self._states, self._metrics)
        server.add_generic_rpc_handlers((prediction.handler(), model.handler()))
        self._health = Health(
            [prediction_service.DESCRIPTOR.full_name, model_service.DESCRIPTOR.full_name]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        address = _address(self._options.host, self._options.port)
        tls = self._options.tls
        try:
            if tls is None:
                self._port = server.add_insecure_port(address)
            else:
                self._port = server.add_secure_port(address, tls.credentials())
        except RuntimeError as error:
            files = tls and f", or {tls.certificate} and {tls.private_key} do not belong together"
            raise ServingError(
                f"{address}: cannot be bound: the port is taken, or the host is not this "
                f"machine's{files or ''}"
            ) from error
        self._server = server

    async def _answer(self) -> None:
        assert self._server is not None
        assert self._health is not None
        await self._server.start()
        self._answering = True
        await self._health.set_serving(True)

    async def _end(self, seconds: float) -> None:
        assert self._server is not None
        assert self._health is not None
        if not self._answering:
            # Only a server that has run gives its port back.
            await self._server.start()
        await self._health.end()
        await self._server.stop(seconds)

    def _load(self, number: int, folder: Path) -> LoadedVersion:
        version = LoadedVersion(
            number, folder, self._options.max_message_bytes, self._options.batching
        )
        replay(version, folder)
        return version

    def _tell_health(self) -> None:
        if self._health is not None and not self._stopped:
            self._in_loop(self._health.set_serving(bool(self._served.numbers())))

    def _why_nothing_loads(self) -> str:
        failed = [
            f"version {status.version}: {status.status.error_message}"
            for status in self._states.all()
        ]
        return f"{self._options.base_path}: no version can be served; " + (
            "; ".join(failed) or "expected folders named by numbers, each with a saved_model.pb"
        )

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _in_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def serve(options: ServerOptions, announce: Callable[[ModelServer], None]) -> None:
    """Serves until SIGTERM or SIGINT, then drains; for the main thread of a process.

    Args:
        options: of the server.
        announce: is called once requests are answered.

    Raises:
        ServingError: as `ModelServer.start`.
    """
    # What is there by now stays: the collector that frees unloaded versions need not look at it.
    gc.collect()
    gc.freeze()
    server = ModelServer(options)
    server.start()
    # A handler may put into this queue while the main thread waits at it.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    before = {
        number: signal.signal(number, lambda received, _: signals.put(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        announce(server)
        signals.get()
    finally:
        server.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _workers(options: ServerOptions) -> int:
    """Threads: those in a batch wait for each other, and each holds one."""
    return _WORKERS if options.batching is None else options.max_concurrent_requests


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
