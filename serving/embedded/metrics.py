"""The server's Prometheus metrics, and the HTTP page that has them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from serving.embedded.request_errors import RequestError
from serving.errors import ServingError

# Label of requests that name something unknown; a label may have only few values.
UNKNOWN: Final = "unknown"

_SECONDS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


# Most connections to the page at once; further ones are closed.
MAX_CONNECTIONS: Final = 16
# Seconds that a connection may take in all, and those that it may be silent.
CONNECTION_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 5.0


@dataclass
class Observation:
    """Facts about a request that become known while it is answered.

    Attributes:
        signature: Signature of the model; empty for a method without one, `UNKNOWN` for a
            signature that the model does not have.
    """

    signature: str = ""


class Metrics:
    """Counts and times of requests, and the state of the server.

    They are in a registry of their own, apart from those of another server in the process.
    """

    def __init__(
        self,
        in_flight: Callable[[], int],
        loaded_versions: Callable[[], Collection[int]],
        failed_versions: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """Takes the functions that read the state of the server whenever metrics are read.

        Args:
            in_flight: Returns the number of requests that wait or are being answered.
            loaded_versions: Returns the numbers of the versions that answer.
            failed_versions: Returns the numbers of the versions that should answer and do not load.
        """
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "movierec_requests",
            "Requests answered or refused.",
            ["method", "signature", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "movierec_request_seconds",
            "From the arrival of a request to its answer.",
            ["method", "signature"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._logged = Counter(
            "movierec_logged_requests",
            "Requests for the request log, by whether they were written.",
            ["outcome"],
            registry=self.registry,
        )
        # It holds as many entries as there are series.
        self._series = cache(self._counted)
        self.registry.register(_State(in_flight, loaded_versions, failed_versions))
        ProcessCollector(registry=self.registry)

    @contextmanager
    def observed(self, method: str) -> Iterator[Observation]:
        """Counts and times the block as one request, also if it is refused there."""
        observation = Observation()
        started, code = time.monotonic(), grpc.StatusCode.UNKNOWN
        try:
            yield observation
            code = grpc.StatusCode.OK
        except RequestError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            count, seconds = self._series(method, observation.signature, code.name)
            count.inc()
            seconds.observe(time.monotonic() - started)

    def count_logged(self, outcome: str) -> None:
        """Counts a request for the request log.

        Args:
            outcome: Outcome as in `request_log`, such as `request_log.WRITTEN`.
        """
        self._logged.labels(outcome).inc()

    def _counted(self, method: str, signature: str, code: str) -> tuple[Counter, Histogram]:
        """Returns the two series of such requests; finding them takes longer than counting."""
        return (
            self._requests.labels(method, signature, code),
            self._seconds.labels(method, signature),
        )


class _State(Collector):
    """The state of the server, read whenever metrics are read."""

    def __init__(
        self,
        in_flight: Callable[[], int],
        loaded_versions: Callable[[], Collection[int]],
        failed_versions: Callable[[], Collection[int]],
    ) -> None:
        self._in_flight = in_flight
        self._versions = (
            ("movierec_loaded_version", "1 for each version that answers.", loaded_versions),
            (
                "movierec_failed_version",
                "1 for each wanted version that does not load.",
                failed_versions,
            ),
        )

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "movierec_requests_in_flight",
            "Requests that wait or are being answered.",
            value=self._in_flight(),
        )
        for name, meaning, numbers in self._versions:
            versions = GaugeMetricFamily(name, meaning, labels=["version"])
            for number in sorted(numbers()):
                versions.add_metric([str(number)], 1)
            yield versions


class _Handler(WSGIRequestHandler):
    """Answers one request, and logs nothing."""

    def setup(self) -> None:
        self.request.settimeout(SILENCE_SECONDS)
        super().setup()

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """A WSGI server with a bound on connections, and on the time of each.

    `prometheus_client.start_http_server` has neither.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # A client that sends or reads a byte now and then is never silent.
        end = threading.Timer(CONNECTION_SECONDS, _hang_up, [request])
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a client that hangs up, or is hung up on, is no error of the server."""


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class MetricsPage:
    """The metrics over HTTP, at `tensorflow_serving_config.METRICS_PATH` and any other path."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Binds the port and answers in a thread.

        Args:
            metrics: Metrics to show.
            host: Address to bind.
            port: Port to bind; 0 takes a free one.

        Raises:
            ServingError: The port is taken, or the host is not this machine's.
        """
        try:
            self._server = _Server(host, port)
        except OSError as error:
            raise ServingError(
                f"{host} port {port}: cannot be bound for metrics ({error.strerror}); choose "
                "another"
            ) from error
        self._server.set_app(make_wsgi_app(metrics.registry))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Bound port."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
