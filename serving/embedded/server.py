"""A model server in this process, for where TensorFlow Serving is not to be had."""

from __future__ import annotations

import gc
import os
import queue
import signal
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
from serving.embedded.model_specs import ModelSpecs
from serving.embedded.process_end import end_process_after
from serving.embedded.served_versions import ServedVersions
from serving.embedded.version_states import VersionStates
from serving.embedded.version_watcher import VersionWatcher
from serving.embedded.warmup_replay import replay
from serving.errors import ServingError
from serving.server_options import ServerOptions

# More threads than cores only wait for each other.
_WORKERS: Final = max(2, os.cpu_count() or 1)
# Seconds for answers that are on their way when the time to drain is over.
_LAST_ANSWERS_SECONDS: Final = 1.0
# Seconds between two looks for a signal that came at an unlucky moment.
_LOOK_SECONDS: Final = 0.5
# Seconds for what else there is to do at the end.
_CLEANUP_SECONDS: Final = 1.0


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
        self._grpc: GrpcServer | None = None
        self._page: MetricsPage | None = None
        self._stopping = threading.Lock()
        self._stopped = False
        self._idle = False

    def start(self) -> None:
        """Loads the newest version that loads, and answers requests when this returns.

        Raises:
            ServingError: no version loads, a port is taken, or a TLS file cannot be used.
        """
        try:
            self._grpc = self._bound()
            if self._options.metrics_port is not None:
                self._page = MetricsPage(
                    self._metrics, self._options.host, self._options.metrics_port
                )
            self._watcher.poll()
            if not self._served.numbers():
                raise ServingError(self._why_nothing_loads())
            self._grpc.start()
        except BaseException:
            self.stop()
            raise
        self._watcher.start(self._options.poll_seconds)

    @property
    def port(self) -> int:
        """Of gRPC, really bound.

        Raises:
            ServingError: the server has not been started.
        """
        if self._grpc is None:
            raise ServingError("the server has not been started")
        return self._grpc.port

    @property
    def versions(self) -> list[int]:
        """The versions that are loaded, oldest first."""
        return sorted(self._served.numbers())

    @property
    def metrics_port(self) -> int | None:
        """Really bound; None if there are none."""
        return None if self._page is None else self._page.port

    def stop(self) -> bool:
        """Refuses new requests, finishes those in flight within the time to drain, and ends.

        May be called again, and by any thread.

        Returns:
            Whether no thread is busy any more: a call of the model, or the loading of a version,
            cannot be broken off.
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
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._page is not None:
            self._page.close()
        for number in self._served.numbers():
            self._served.retire(number)
        self._served.unload_idle()
        return nothing_loads and not self._admission.inside

    def _bound(self) -> GrpcServer:
        prediction = prediction_service.PredictionService(
            self._specs,
            self._admission,
            self._metrics,
            self._executor,
            self._options.max_message_bytes,
            batched=self._options.batching is not None,
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
            number, folder, self._options.max_message_bytes, self._options.batching
        )
        replay(version, folder)
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


def spare_imports() -> None:
    """Has the collector, which frees unloaded versions, not look at what is there by now.

    For a process that does nothing but serve.
    """
    gc.collect()
    gc.freeze()


def serve(options: ServerOptions, announce: Callable[[ModelServer], None]) -> None:
    """Serves until SIGTERM or SIGINT, then drains; for the main thread of a process.

    If a thread is still busy when the time to drain is over, the process ends, with exit code 0.

    Args:
        options: of the server.
        announce: is called once requests are answered.

    Raises:
        ServingError: as `ModelServer.start`.
    """
    spare_imports()
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
        _wait_for(signals)
    finally:
        end = end_process_after(
            options.drain_seconds + _LAST_ANSWERS_SECONDS + _CLEANUP_SECONDS, exit_code=0
        )
        if server.stop():
            end.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for(signals: queue.SimpleQueue[int]) -> None:
    """Returns once there is one.

    A handler runs between two steps of the interpreter. For a signal that comes when the last of
    these has been done, and the wait has not begun, there would be none before the wait is over.
    """
    while True:
        with suppress(queue.Empty):
            signals.get(timeout=_LOOK_SECONDS)
            return


def _workers(options: ServerOptions) -> int:
    """Threads: those in a batch wait for each other, and each holds one."""
    return _WORKERS if options.batching is None else options.max_concurrent_requests
