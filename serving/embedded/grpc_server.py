"""A gRPC server whose event loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Coroutine
from typing import Any, Final, TypeVar

import grpc
from grpc_health.v1 import health_pb2_grpc

from serving.embedded.health import Health
from serving.errors import ServingError
from serving.tls import ServerTls

_NAME: Final = "grpc"

_T = TypeVar("_T")


class GrpcServer:
    """A gRPC server with health checks; any thread but its own may call its methods.

    A request that has not arrived completely occupies no thread, so streams that never end delay
    no other request.
    """

    def __init__(
        self,
        address: str,
        tls: ServerTls | None,
        handlers: Collection[grpc.GenericRpcHandler],
        services: Collection[str],
        max_message_bytes: int,
    ) -> None:
        """Binds the address; `start` answers.

        Args:
            address: `HOST:PORT` to bind; port 0 takes a free one.
            tls: Certificate and key; None serves in the clear.
            handlers: Handlers of the services.
            services: Full names of the services, for health checks.
            max_message_bytes: Largest request or answer, in bytes.

        Raises:
            ServingError: The address cannot be bound, or a TLS file cannot be used.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=_NAME, daemon=True)
        self._thread.start()
        self._started = False
        try:
            self._server, self._health, self.port = self._wait(
                _bound(address, tls, handlers, services, max_message_bytes)
            )
        except BaseException:
            self._end_thread()
            raise

    def start(self) -> None:
        """Answers requests from now on."""
        self._started = True
        self._wait(self._server.start())

    def set_serving(self, serving: bool) -> None:
        """Sets the answer to health checks."""
        self._wait(self._health.set_serving(serving))

    def end(self, seconds: float) -> None:
        """Takes no more requests, and cancels those that are not finished after some seconds."""
        if not self._started:
            # Only a started server releases its port when it stops.
            self.start()
        self._wait(self._health.end())
        self._wait(self._server.stop(seconds))
        self._end_thread()

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


async def _bound(
    address: str,
    tls: ServerTls | None,
    handlers: Collection[grpc.GenericRpcHandler],
    services: Collection[str],
    max_message_bytes: int,
) -> tuple[grpc.aio.Server, Health, int]:
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            # Two servers on one port would each get some of the requests.
            ("grpc.so_reuseport", 0),
        ]
    )
    health = Health(services)
    server.add_generic_rpc_handlers(tuple(handlers))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    try:
        if tls is None:
            return server, health, server.add_insecure_port(address)
        return server, health, server.add_secure_port(address, tls.credentials())
    except RuntimeError as error:
        files = tls and f", or {tls.certificate} and {tls.private_key} do not belong together"
        raise ServingError(
            f"{address}: cannot be bound: the port is taken, or the host is not this machine's"
            f"{files or ''}"
        ) from error
