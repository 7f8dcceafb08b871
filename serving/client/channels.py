"""How clients connect, try again, and bound what they send and take."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from serving.defaults import DEFAULT_TARGET, MAX_ATTEMPTS
from serving.errors import ServingError
from serving.tls import ClientTls

# Milliseconds. With the waits between five attempts, doubling from the first, a server that is not
# there is told after some 1.5 s.
_FIRST_WAIT: Final = 100
_LONGEST_WAIT: Final = 1000
# For TCP, and TLS where it is used, to be set up.
_CONNECT: Final = 2000
_MAX_INT32: Final = 2**31 - 1
# Beside a message, what gRPC keeps of a request to send it again.
_RETRY_OVERHEAD: Final = 64 * 1024


def open_channel(
    library: Any,
    target: str,
    tls: ClientTls | None,
    timeout: float,
    attempts: int,
    max_message_bytes: int,
) -> Any:
    """A channel, which connects when it is first used.

    Args:
        library: `grpc` or `grpc.aio`, whose channel it is.
        target: `HOST:PORT`, or another of gRPC's names with a colon.
        tls: None connects in the clear.
        timeout: seconds of a call.
        attempts: 1 to `MAX_ATTEMPTS`, all within a call's deadline.
        max_message_bytes: of a request or an answer.

    Raises:
        ServingError: one of these is out of bounds, or a TLS file cannot be read.
    """
    if ":" not in target:
        raise ServingError(f"target {target!r}: expected HOST:PORT, such as {DEFAULT_TARGET}")
    if not 0 < timeout < math.inf:
        raise ServingError(f"timeout: given {timeout:g}, expected seconds above 0")
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise ServingError(f"attempts: given {attempts}, expected 1 to {MAX_ATTEMPTS}")
    if not 1 <= max_message_bytes <= _MAX_INT32 - _RETRY_OVERHEAD:
        raise ServingError(f"max_message_bytes: given {max_message_bytes}, expected 1 to 2 GiB")
    options = _options(attempts, max_message_bytes)
    if tls is None:
        return library.insecure_channel(target, options)
    return library.secure_channel(target, tls.credentials(), options)


def _options(attempts: int, max_message_bytes: int) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.service_config", _service_config(attempts)),
        ("grpc.enable_retries", int(attempts > 1)),
        # What does not fit is sent once only.
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes + _RETRY_OVERHEAD),
        ("grpc.initial_reconnect_backoff_ms", _FIRST_WAIT),
        ("grpc.max_reconnect_backoff_ms", _LONGEST_WAIT),
        # By its name a wait; by its effect, the time that setting up a connection may take.
        ("grpc.min_reconnect_backoff_ms", _CONNECT),
        # Otherwise channels to one address share a connection, and closing one does not close it.
        ("grpc.use_local_subchannel_pool", 1),
        # A model server is near; a proxy that the environment names is for what is far.
        ("grpc.enable_http_proxy", 0),
    ]


def _service_config(attempts: int) -> str:
    """Round robin over the addresses of a name, and attempts where there is no answer."""
    method: dict[str, Any] = {"name": [{}]}
    if attempts > 1:
        method["retryPolicy"] = {
            "maxAttempts": attempts,
            "initialBackoff": f"{_FIRST_WAIT / 1000}s",
            "maxBackoff": f"{_LONGEST_WAIT / 1000}s",
            "backoffMultiplier": 2,
            # All calls only read: one that was answered to nobody does no harm.
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
    return json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [method]})
