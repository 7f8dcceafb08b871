"""Whether a model server answers yet, and with which versions."""

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
from serving.versions import newest_version

_ANSWER_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1


def wait_until_served(
    target: str, options: ServerOptions, seconds: float, given_up: Callable[[], bool]
) -> list[int]:
    """Asks a server that starts until it answers.

    Args:
        target: of gRPC, `HOST:PORT`, or `unix:PATH` in the clear.
        options: of the server.
        seconds: to wait.
        given_up: asked between the attempts.

    Returns:
        The versions that it serves, oldest first; none if `given_up` said so first.

    Raises:
        ServingError: the server says that a version does not load, or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not given_up():
        if found := served_versions(target, options):
            return found
        if time.monotonic() > deadline:
            raise ServingError(f"{target}: no answer from the model server within {seconds:g} s")
        time.sleep(_PAUSE_SECONDS)
    return []


def served_versions(target: str, options: ServerOptions) -> list[int]:
    """The versions that a server serves, oldest first; none while it does not answer.

    A server that wants TLS can be asked only by those whom it trusts. Of such a one this sees that
    it shakes hands, and takes it to serve the newest version, as it was told.

    Raises:
        ServingError: the server says that no version loads, and why.
    """
    if options.tls is None:
        return _available(target, options.model_name)
    newest = newest_version(options.base_path)
    return [int(newest.name)] if newest and _shakes_hands(target) else []


def _available(target: str, model_name: str) -> list[int]:
    call = ModelCalls(model_name, version=None, label=None).status()
    # A proxy for the web does not know this machine's ports.
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
