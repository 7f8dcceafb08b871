"""A TCP port that relays its connections to a UNIX socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from serving import ports

_NAME: Final = "socket relay"
_CHUNK_BYTES: Final = 64 * 1024


class SocketRelay:
    """A relay that binds its port on entry, and closes every connection on exit.

    It is for a server that can bind a port only on every interface, but can also listen on a
    socket. The relay does not read what passes, so TLS is between the client and the server. While
    nobody listens on the socket, connections are closed at once, and the client may try again.

    Attributes:
        port: Bound port, after entry.
    """

    port: int

    def __init__(self, host: str, port: int, path: Path) -> None:
        """Takes the addresses; the port is bound on entry.

        Args:
            host: Name or IP address of this machine.
            port: Port to bind; 0 takes a free one.
            path: Path of the socket, which need not exist yet.
        """
        self._host = host
        self._wanted_port = port
        self._path = path
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        """Binds the port, and relays from now on.

        Raises:
            ServingError: The port is taken, or the host is not this machine's.
        """
        listener = ports.listener(self._host, self._wanted_port)
        # Connections inherit it, so that one whose client has vanished is closed in the end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.port = listener.getsockname()[1]
        self._end = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=[listener], name=_NAME, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self, listener: socket.socket) -> None:
        # The runner cancels unfinished connections at the end.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._accept, sock=listener, backlog=socket.SOMAXCONN)
        await self._end.wait()
        server.close()

    def _accept(self, from_client: StreamReader, to_client: StreamWriter) -> None:
        connection = self._loop.create_task(self._relay(from_client, to_client))
        # The event loop keeps no strong reference to its tasks.
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _relay(self, from_client: StreamReader, to_client: StreamWriter) -> None:
        with _aborted_at_end(to_client):
            try:
                from_server, to_server = await asyncio.open_unix_connection(self._path)
            except OSError:
                return
            with _aborted_at_end(to_server):
                try:
                    async with asyncio.TaskGroup() as both_ways:
                        both_ways.create_task(_copy(from_client, to_server))
                        both_ways.create_task(_copy(from_server, to_client))
                    await _close_when_sent(to_client)
                    await _close_when_sent(to_server)
                except* OSError:
                    # One side has reset the connection, so it ends for the other too.
                    pass


@contextmanager
def _aborted_at_end(writer: StreamWriter) -> Iterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    """Copies until the end of the stream, and passes the end on."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def _close_when_sent(writer: StreamWriter) -> None:
    """Closes the stream once all that was written has been sent."""
    writer.close()
    await writer.wait_closed()
