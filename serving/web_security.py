"""Guards of web applications: who may ask, and what a page may load."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Everything comes from this server: no script, style, font or image of anybody else.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MISDIRECTED: Final = 421
_REFUSAL: Final = (
    "This server answers to its IP address and to localhost, not to the host name of this request."
)


def _plain_text(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)


class GuardedPages:
    """Middleware that adds security headers to every answer, and refuses foreign host names.

    A page of another site can make its own host name lead to this machine (DNS rebinding), and
    read what a server here answers. The browser still sends that name in `Host`, so only IP
    addresses, `localhost` and the name that the server was started with are answered. A server for
    other machines has names that it does not know, and answers to all.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str | None,
        refusal: Callable[[int, str], Response] = _plain_text,
    ) -> None:
        """Wraps an application.

        Args:
            app: Application to guard.
            host: Name or address that the server was started with; None answers to every name.
            refusal: Function of a status code and a text that returns the response of a refusal.
        """
        self._app = app
        self._names = None if host is None else {"localhost", host.lower()}
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        headers = dict(scope["headers"])
        given = headers.get(b"host", b"").decode("latin-1")
        if self._names is None or is_own_host(given, self._names):
            await self._app(scope, receive, send_guarded)
            return
        await self._refusal(_MISDIRECTED, _REFUSAL)(scope, receive, send_guarded)


def is_own_host(given: str, names: Collection[str]) -> bool:
    """Returns whether a `Host` header names this server: an IP address or one of the names.

    Args:
        given: Value of the header, with a port or without.
        names: Names of this server, in lower case.
    """
    bracketed = given.startswith("[")
    name = given[1:].partition("]")[0] if bracketed else given.partition(":")[0]
    if name.lower().removesuffix(".") in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
