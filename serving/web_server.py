"""A web server in a thread, with bounds on what it reads and on the requests at once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving import ports
from serving.errors import ServingError

# Most connections and requests at once; further ones are answered 503.
MAX_AT_ONCE: Final = 64
# Most bytes of a request's first line and headers.
_MAX_HEADER_BYTES: Final = 16 * 1024
# Seconds in which they must arrive.
HEAD_SECONDS: Final = 10.0
# Seconds in which a client must have read a long answer.
READ_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 5
_GRACE_SECONDS: Final = 3
_STARTUP_SECONDS: Final = 30.0


class WebServer:
    """Serves one application over HTTP from its construction until `stop`."""

    def __init__(self, app: ASGIApp, host: str, port: int, max_at_once: int = MAX_AT_ONCE) -> None:
        """Binds the port and answers.

        Args:
            app: Application to serve.
            host: Name or address to listen at.
            port: Port; 0 takes a free one.
            max_at_once: Most connections and requests at once.

        Raises:
            ServingError: The port is taken, the address is not this machine's, or the server does
                not start.
        """
        self._listener = ports.listener(host, port)
        self._host = host
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=max_at_once,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        # Uvicorn takes the signals of a main thread, which the command handles itself.
        self._thread = threading.Thread(target=self._run, name="web-server", daemon=True)
        self._thread.start()
        self._wait()

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        port = int(self._listener.getsockname()[1])
        return f"http://{ports.reachable(self._host, port)}/"

    def stop(self) -> None:
        """Finishes the requests in flight for a few seconds, then ends."""
        self._server.should_exit = True
        self._thread.join(2 * _GRACE_SECONDS)
        self._listener.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def _wait(self) -> None:
        pause = threading.Event()
        for _ in range(int(_STARTUP_SECONDS / 0.01)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            pause.wait(0.01)
        self.stop()
        raise ServingError(f"the web server at {self._host} did not start")


class PatientProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1, whose patience with slow clients has an end.

    Uvicorn itself waits for ever for the head of a request, and for a client that reads no answer.
    """

    head_seconds = HEAD_SECONDS
    read_seconds = READ_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time for the first head."""
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends all times."""
        for timer in (self._head_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Starts the time for a further head with its first byte."""
        super().data_received(data)
        self._watch_head()

    def pause_writing(self) -> None:
        """Starts the time in which the client must read the answer."""
        super().pause_writing()
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Ends the time in which the client must read, if nothing of the answer follows."""
        super().resume_writing()
        if self.cycle.response_complete:
            self._end_reading()

    def on_response_complete(self) -> None:
        """Ends the time in which the client must read, if nothing waits for it."""
        if not self.flow.write_paused:
            self._end_reading()
        super().on_response_complete()

    def _end_reading(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _watch_head(self) -> None:
        awaited = self.conn.their_state is h11.IDLE
        if awaited and self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.abort)
        elif not awaited and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
