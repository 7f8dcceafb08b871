"""Waiting for a model server that starts, until it answers."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

import grpc

from serving.client.model_calls import AVAILABLE, ModelCalls
from serving.errors import ServingError
from serving.server_options import ServerOptions
from serving.version_pin import served_version

_ANSWER_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1


def wait_until_served(
    target: str, options: ServerOptions, seconds: float, given_up: Callable[[], bool]
) -> list[int]:
    """Queries a server that is starting until it answers.

    Args:
        target: gRPC target, `HOST:PORT`, or `unix:PATH` without TLS.
        options: Options of the server.
        seconds: Longest time to wait.
        given_up: Function that ends the wait, called between attempts.

    Returns:
        The served versions, oldest first; none if `given_up` ended the wait.

    Raises:
        ServingError: The server reports that no version loads, or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not given_up():
        if served := served_versions(target, options):
            return served
        if time.monotonic() > deadline:
            raise ServingError(f"{target}: no answer from the model server within {seconds:g} s")
        time.sleep(_PAUSE_SECONDS)
    return []


def served_versions(target: str, options: ServerOptions) -> list[int]:
    """Returns the versions that a server serves, oldest first; none while it does not answer.

    A server with TLS may answer only clients that it trusts. Its handshake is enough here: it is
    taken to serve the version that it should.

    Raises:
        ServingError: The server reports that no version loads, and why.
    """
    if options.tls is None:
        return _available(target, options.model_name)
    version = served_version(options.base_path)
    return [int(version.name)] if version and _shakes_hands(target) else []


def _available(target: str, model_name: str) -> list[int]:
    call = ModelCalls(model_name, version=None, label=None).status()
    # A web proxy does not know this machine's ports.
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = channel.unary_unary(call.method)(call.request, timeout=_ANSWER_SECONDS)
        except grpc.RpcError:
            return []
    statuses = call.read(answer)
    available = [status.version for status in statuses if status.state == AVAILABLE]
    reasons = [status.error for status in statuses if status.error]
    if reasons and not available:
        raise ServingError(f"{model_name}: the model server cannot load it: {reasons[-1]}")
    return available


def _shakes_hands(target: str) -> bool:
    host, _, port = target.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS) as connection,
            context.wrap_socket(connection),
        ):
            return True
    except OSError:
        return False
