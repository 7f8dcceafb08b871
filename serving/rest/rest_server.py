"""The REST API on a port of its own, until it is stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from serving import ports
from serving.rest.bounds import Bounds
from serving.rest.grpc_model import CALL_SECONDS, GrpcModel
from serving.rest.rest_app import rest_app
from serving.web_server import WebServer

# Connections beside those of requests: an idle one stays open for some seconds, and one request too
# many gets an answer in JSON.
_FURTHER_CONNECTIONS: Final = 128


class RestServer:
    """Answers TensorFlow Serving's REST API by asking a model server over gRPC."""

    def __init__(
        self,
        target: str,
        host: str,
        port: int,
        bounds: Bounds | None = None,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """Binds the port and answers.

        A server on loopback answers to IP addresses and its own names alone, so that no page in a
        browser can read its answers by DNS rebinding.

        Args:
            target: `HOST:PORT` of the model server.
            host: Name or address to listen at.
            port: Port; 0 takes a free one.
            bounds: Bounds on the requests; None takes those of the gRPC server.
            call_seconds: Seconds that the model server has for a request.

        Raises:
            ServingError: The port is taken, or the address is not this machine's.
        """
        bounds = bounds or Bounds()
        self._model = GrpcModel(target, bounds.max_body_bytes, call_seconds)
        self._threads = ThreadPoolExecutor(bounds.max_requests, thread_name_prefix="rest")
        own_host = host if ports.is_loopback(host) else None
        app = rest_app(self._model, self._threads, bounds, own_host)
        try:
            connections = bounds.max_requests + _FURTHER_CONNECTIONS
            self._web = WebServer(app, host, port, connections)
        except BaseException:
            self._end()
            raise

    @property
    def url(self) -> str:
        """Address on this machine, without a path."""
        return self._web.url.rstrip("/")

    def stop(self) -> None:
        """Finishes the requests in flight for a few seconds, then ends."""
        self._web.stop()
        self._end()

    def _end(self) -> None:
        self._model.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
