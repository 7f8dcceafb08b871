"""What the server counts, for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from serving.embedded.request_error import RequestError
from serving.errors import ServingError

# A label's value where a request named something unknown: values must stay few.
UNKNOWN: Final = "unknown"

_SECONDS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


@dataclass
class Observation:
    """What becomes known of a request while it is answered.

    Attributes:
        signature: of the model; empty for a method that has none, `UNKNOWN` for one that is not
            the model's.
    """

    signature: str = ""


class Metrics:
    """Requests by method, signature and status code, and their times; and the state of the server.

    All in a registry of its own: another server in the process counts apart.
    """

    def __init__(
        self, in_flight: Callable[[], int], loaded_versions: Callable[[], Collection[int]]
    ) -> None:
        """Takes where the state of the server is read whenever the metrics are."""
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
        # As few as there are series.
        self._series = cache(self._counted)
        self.registry.register(_State(in_flight, loaded_versions))
        ProcessCollector(registry=self.registry)

    @contextmanager
    def observed(self, method: str) -> Iterator[Observation]:
        """Counts and times what is done within as one request, also if it is refused there."""
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

    def _counted(self, method: str, signature: str, code: str) -> tuple[Counter, Histogram]:
        """What counts such requests: finding it takes longer than counting."""
        return (
            self._requests.labels(method, signature, code),
            self._seconds.labels(method, signature),
        )


class _State(Collector):
    """Read when it is asked for, so it cannot lag behind."""

    def __init__(
        self, in_flight: Callable[[], int], loaded_versions: Callable[[], Collection[int]]
    ) -> None:
        self._in_flight = in_flight
        self._loaded_versions = loaded_versions

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "movierec_requests_in_flight",
            "Requests that wait or are being answered.",
            value=self._in_flight(),
        )
        loaded = GaugeMetricFamily(
            "movierec_loaded_version", "1 for each version that answers.", labels=["version"]
        )
        for number in sorted(self._loaded_versions()):
            loaded.add_metric([str(number)], 1)
        yield loaded


class MetricsPage:
    """The metrics over HTTP: at `monitoring_config.METRICS_PATH`, as at any other path."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Binds and answers, in a thread.

        Raises:
            ServingError: the port is taken, or the host is not this machine's.
        """
        try:
            self._server, self._thread = start_http_server(port, host, metrics.registry)
        except OSError as error:
            raise ServingError(
                f"{host} port {port}: cannot be bound for metrics ({error.strerror}); choose "
                "another"
            ) from error

    @property
    def port(self) -> int:
        """Really bound."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Answers no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
