"""A TCP port whose connections go on to a UNIX socket."""

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
    """Bound on entry; on exit it closes every connection and its thread ends.

    For a server that binds a port to every interface or not at all, but listens to a socket. What
    goes through is not looked at, so TLS is between the client and the server. A connection that is
    made while nobody listens to the socket is closed at once, for the client to try again.

    Attributes:
        port: that is bound, once it is.
    """

    port: int

    def __init__(self, host: str, port: int, path: Path) -> None:
        """Binds nothing yet.

        Args:
            host: a name or an IP address of this machine.
            port: 0 takes a free one.
            path: of the socket, which need not be there yet.
        """
        self._host = host
        self._asked_port = port
        self._path = path
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        """Binds, and relays from now on.

        Raises:
            ServingError: as `ports.listener`.
        """
        listener = ports.listener(self._host, self._asked_port)
        # Its connections inherit it: one whose client is gone without a word is not kept for ever.
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
        # What it has not finished at the end, it cancels.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._accept, sock=listener, backlog=socket.SOMAXCONN)
        await self._end.wait()
        server.close()

    def _accept(self, from_client: StreamReader, to_client: StreamWriter) -> None:
        connection = self._loop.create_task(self._relay(from_client, to_client))
        # The loop does not hold its tasks: one whose client has said all could be collected.
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
                    await _sent(to_client)
                    await _sent(to_server)
                except* OSError:
                    # One side has reset the connection: so it ends for the other.
                    pass


@contextmanager
def _aborted_at_end(writer: StreamWriter) -> Iterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    """Until the end of what is read, which is passed on too."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def _sent(writer: StreamWriter) -> None:
    """Closes it once all that was written has been sent."""
    writer.close()
    await writer.wait_closed()
