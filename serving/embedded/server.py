"""The embedded model server: its start, its parts and its end."""

from __future__ import annotations

import gc
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from serving import ports
from serving.embedded import model_service, prediction_service
from serving.embedded.admission import Admission
from serving.embedded.grpc_server import GrpcServer
from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.metrics import Metrics, MetricsPage
from serving.embedded.request_log import RequestLog
from serving.embedded.served_versions import ModelSpecs, ServedVersions
from serving.embedded.version_watcher import VersionStates, VersionWatcher
from serving.errors import ServingError
from serving.server_options import ServerOptions
from serving.shutdown import end_process_after, handle_stop_signals

# Threads that call the model. More threads than cores only wait for each other.
WORKERS: Final = max(2, os.cpu_count() or 1)
# Further threads for heavy requests. TensorFlow runs their operations in threads that it shares
# among all requests, so some of those must be left.
HEAVY_WORKERS: Final = WORKERS // 2
# Seconds for answers on their way when the time to drain is over.
_LAST_ANSWERS_SECONDS: Final = 1.0
# Seconds for the rest of the shutdown.
_CLEANUP_SECONDS: Final = 1.0
# Seconds between two looks for a signal whose handler did not run at once.
_LOOK_SECONDS: Final = 0.5


class ModelServer:
    """A server of one model: Predict, GetModelMetadata, GetModelStatus and health checks."""

    def __init__(self, options: ServerOptions) -> None:
        """Takes the options; `start` loads, binds and answers."""
        self._options = options
        self._served = ServedVersions()
        self._states = VersionStates()
        self._admission = Admission(options.max_concurrent_requests)
        self._specs = ModelSpecs(options.model_name, options.version_labels, self._served)
        self._watcher = VersionWatcher(
            options.base_path,
            frozenset(options.version_labels.values()),
            self._load,
            self._served,
            self._states,
            self._tell_health,
        )
        self._metrics = Metrics(
            lambda: self._admission.inside, self._served.numbers, self._watcher.failed
        )
        self._request_log: RequestLog | None = None
        self._light = ThreadPoolExecutor(_workers(options), thread_name_prefix="predict")
        self._heavy = ThreadPoolExecutor(HEAVY_WORKERS, thread_name_prefix="heavy")
        self._grpc: GrpcServer | None = None
        self._page: MetricsPage | None = None
        self._stopping = threading.Lock()
        self._stopped = False
        self._idle = False

    def start(self) -> None:
        """Loads the newest version that can be loaded, and answers requests from its return on.

        Raises:
            ServingError: No version loads, a port is taken, a TLS file cannot be used, or the
                request log cannot be written.
        """
        try:
            if self._options.request_log is not None:
                self._request_log = RequestLog(
                    self._options.request_log, self._metrics.count_logged
                )
            self._grpc = self._bound()
            if self._options.metrics_port is not None:
                self._page = MetricsPage(
                    self._metrics, self._options.host, self._options.metrics_port
                )
            self._watcher.load_first()
            if not self._served.numbers():
                raise ServingError(self._why_nothing_loads())
            self._grpc.start()
        except BaseException:
            self.stop()
            raise
        self._watcher.start(self._options.poll_seconds)

    @property
    def port(self) -> int:
        """Bound gRPC port.

        Raises:
            ServingError: The server has not been started.
        """
        if self._grpc is None:
            raise ServingError("the server has not been started")
        return self._grpc.port

    @property
    def versions(self) -> list[int]:
        """Numbers of the loaded versions, oldest first."""
        return sorted(self._served.numbers())

    @property
    def metrics_port(self) -> int | None:
        """Bound port of the metrics; None if there are none."""
        return None if self._page is None else self._page.port

    @property
    def requests_in_flight(self) -> int:
        """Number of requests to Predict that wait or are being answered."""
        return self._admission.inside

    def stop(self) -> bool:
        """Refuses new requests, finishes those in flight within the time to drain, and ends.

        Any thread may call it, and more than once.

        Returns:
            Whether no thread is busy any more. A call of the model and the loading of a version
            cannot be interrupted.
        """
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                self._idle = self._drain_and_end()
            return self._idle

    def _drain_and_end(self) -> bool:
        until = time.monotonic() + self._options.drain_seconds
        self._admission.close()
        if self._grpc is not None:
            self._grpc.set_serving(False)
        nothing_loads = self._watcher.stop(max(0.0, until - time.monotonic()))
        self._admission.wait_until_empty(max(0.0, until - time.monotonic()))
        if self._grpc is not None:
            self._grpc.end(max(_LAST_ANSWERS_SECONDS, until - time.monotonic()))
        for executor in (self._light, self._heavy):
            executor.shutdown(wait=False, cancel_futures=True)
        if self._page is not None:
            self._page.close()
        if self._request_log is not None:
            self._request_log.close()
        for number in self._served.numbers():
            self._served.retire(number)
        self._served.unload_idle()
        return nothing_loads and not self._admission.inside

    def _bound(self) -> GrpcServer:
        prediction = prediction_service.PredictionService(
            self._specs,
            self._admission,
            self._metrics,
            self._light,
            self._heavy,
            self._options.max_message_bytes,
            batched=self._options.batching is not None,
            request_log=self._request_log,
        )
        model = model_service.ModelService(self._specs, self._states, self._metrics)
        return GrpcServer(
            ports.address(self._options.host, self._options.port),
            self._options.tls,
            [prediction.handler(), model.handler()],
            [prediction_service.DESCRIPTOR.full_name, model_service.DESCRIPTOR.full_name],
            self._options.max_message_bytes,
        )

    def _load(self, number: int, folder: Path) -> LoadedVersion:
        version = LoadedVersion(
            number,
            folder,
            self._options.max_message_bytes,
            self._options.batching,
            check_ops=self._options.check_ops,
            read_training=self._options.request_log is not None,
        )
        version.warm_up(folder)
        return version

    def _tell_health(self) -> None:
        if self._grpc is not None and not self._stopped:
            self._grpc.set_serving(bool(self._served.numbers()))

    def _why_nothing_loads(self) -> str:
        failed = [
            f"version {status.version}: {status.status.error_message}"
            for status in self._states.all()
        ]
        return f"{self._options.base_path}: no version can be served; " + (
            "; ".join(failed) or "expected folders named by numbers, each with a saved_model.pb"
        )


def freeze_imports() -> None:
    """Keeps the garbage collector, which frees unloaded versions, off the objects of imports.

    This is for a process that only serves.
    """
    gc.collect()
    gc.freeze()


def serve(options: ServerOptions, announce: Callable[[ModelServer], None]) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP, then drains; must run in the main thread.

    If a thread is still busy after the time to drain, the process ends with exit code 0.

    Args:
        options: Options of the server.
        announce: Function called once requests are answered.

    Raises:
        ServingError: No version loads, a port is taken, a TLS file cannot be used, or the
            request log cannot be written.
    """
    freeze_imports()
    server = ModelServer(options)
    server.start()
    # A signal handler may put into this queue while the main thread waits at it.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    with handle_stop_signals(lambda number, _: signals.put(number)):
        try:
            announce(server)
            wait_for_signal(signals)
        finally:
            end = end_process_after(
                options.drain_seconds + _LAST_ANSWERS_SECONDS + _CLEANUP_SECONDS, exit_code=0
            )
            if server.stop():
                end.cancel()


def wait_for_signal(signals: queue.SimpleQueue[int]) -> None:
    """Returns once a signal is in the queue.

    Python runs a handler between two steps of the interpreter. A signal that arrives after the last
    step before the wait would have to await its end, so the wait is interrupted regularly.
    """
    while True:
        with suppress(queue.Empty):
            signals.get(timeout=_LOOK_SECONDS)
            return


def _workers(options: ServerOptions) -> int:
    """Returns the number of threads; each request of a batch holds one while it waits."""
    return WORKERS if options.batching is None else options.max_concurrent_requests
