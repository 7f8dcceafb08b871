"""A web server in a thread, with bounds on what it reads and on the requests at once."""

from __future__ import annotations

import threading
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from serving import ports
from serving.errors import ServingError

# Most connections and requests at once; further ones are answered 503.
MAX_AT_ONCE: Final = 64
# Most bytes of a request's first line and headers.
_MAX_HEADER_BYTES: Final = 16 * 1024
_IDLE_SECONDS: Final = 5
_GRACE_SECONDS: Final = 3
_STARTUP_SECONDS: Final = 30.0


class WebServer:
    """Serves one application over HTTP from its construction until `stop`."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """Binds the port and answers.

        Args:
            app: Application to serve.
            host: Name or address to listen at.
            port: Port; 0 takes a free one.

        Raises:
            ServingError: The port is taken, the address is not this machine's, or the server does
                not start.
        """
        self._listener = ports.listener(host, port)
        self._host = host
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_AT_ONCE,
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
