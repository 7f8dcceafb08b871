"""Answers to gRPC health checks, for the server and each of its services.

grpc_health has a servicer for asyncio too. In its release 1.81, a watcher that leaves takes the
notifications of all other watchers of the service with it, and none is released when the server
stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_Response: TypeAlias = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Health checks with one answer for all services; belongs to an event loop."""

    def __init__(self, services: Collection[str]) -> None:
        """Starts as not serving.

        Args:
            services: Full names of the services; the empty name stands for the server.
        """
        self._services = frozenset(services) | {""}
        self._serving = False
        self._ended = False
        self._changed = asyncio.Condition()

    async def set_serving(self, serving: bool) -> None:
        """Changes the status and notifies watchers."""
        async with self._changed:
            self._serving = serving
            self._changed.notify_all()

    async def end(self) -> None:
        """Ends the streams of watchers."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def Check(  # noqa: N802 - the name of the method
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> _Response:
        """Returns the status of a service; an unknown service is answered NOT_FOUND."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "the server has no such service")
        return _Response(status=self._status(request.service))

    async def Watch(  # noqa: N802 - the name of the method
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[_Response]:
        """Yields the status now, and again at each change."""
        sent = None
        while not self._ended:
            status = self._status(request.service)
            if status == sent:
                await self._wait_for_change(request.service, status)
            else:
                yield _Response(status=status)
                sent = status

    async def _wait_for_change(self, service: str, status: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or self._status(service) != status)

    def _status(self, service: str) -> int:
        if service not in self._services:
            return _Response.SERVICE_UNKNOWN
        return _Response.SERVING if self._serving else _Response.NOT_SERVING
