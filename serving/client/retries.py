"""How often a client tries a call again, and its back-off between attempts and connections.

gRPC itself repeats a call that gets UNAVAILABLE. It cannot tell apart the two meanings of
RESOURCE_EXHAUSTED, a server without a free thread and an answer that is too large, so the client
repeats those calls.
"""

from __future__ import annotations

import json
import random
import time
from typing import Any, Final

import grpc

from serving.defaults import MAX_ATTEMPTS
from serving.errors import ServingError

# Milliseconds. The pauses double: five attempts at a server that refuses connections take 1.5 s.
_FIRST_PAUSE: Final = 100
_LONGEST_PAUSE: Final = 1000
_PAUSE_FACTOR: Final = 2
# Each pause is up to this share shorter or longer, so that clients do not come back all at once.
_JITTER: Final = 0.2
# Text of gRPC's C++ servers when all threads are busy; earlier releases give none.
_NO_THREAD: Final = frozenset({"", "Server Threadpool Exhausted"})
# Milliseconds for setting up a connection, with TLS where it is used.
_CONNECT: Final = 2000
_MAX_INT32: Final = 2**31 - 1
# Bytes that gRPC keeps of a request, beside the message, to send it again.
_RETRY_OVERHEAD: Final = 64 * 1024


def channel_options(attempts: int, max_message_bytes: int) -> list[tuple[str, Any]]:
    """Returns the options of a gRPC channel, sync or asyncio.

    Args:
        attempts: Attempts in all at an unavailable server, 1 to `MAX_ATTEMPTS`.
        max_message_bytes: Largest request or answer, in bytes.

    Raises:
        ServingError: An argument is out of bounds.
    """
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise ServingError(f"attempts: given {attempts}, expected 1 to {MAX_ATTEMPTS}")
    if not 1 <= max_message_bytes <= _MAX_INT32 - _RETRY_OVERHEAD:
        raise ServingError(f"max_message_bytes: given {max_message_bytes}, expected 1 to 2 GiB")
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.service_config", _service_config(attempts)),
        ("grpc.enable_retries", int(attempts > 1)),
        # A request that does not fit is sent only once.
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes + _RETRY_OVERHEAD),
        ("grpc.initial_reconnect_backoff_ms", _FIRST_PAUSE),
        ("grpc.max_reconnect_backoff_ms", _LONGEST_PAUSE),
        # Despite its name, this limits the time for setting up a connection.
        ("grpc.min_reconnect_backoff_ms", _CONNECT),
        # Otherwise channels to one address share a connection, and closing one does not close it.
        ("grpc.use_local_subchannel_pool", 1),
        # A model server is near; a proxy in the environment is for distant hosts.
        ("grpc.enable_http_proxy", 0),
    ]


def had_no_thread(error: grpc.RpcError) -> bool:
    """Returns whether the server refused a call before any work because its threads were busy."""
    return (
        error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and (error.details() or "") in _NO_THREAD
    )


class Attempts:
    """The attempts of one call at a server whose threads are busy, within the call's deadline."""

    def __init__(self, attempts: int, seconds: float) -> None:
        """Starts the clock.

        Args:
            attempts: Attempts in all.
            seconds: Time for the call with all its attempts.
        """
        self._left = attempts
        self._pause = _FIRST_PAUSE / 1000
        self._end = time.monotonic() + seconds

    def seconds_left(self) -> float:
        """Returns the time that is left to the call."""
        return max(0.0, self._end - time.monotonic())

    def pause_after(self, error: grpc.RpcError) -> float | None:
        """Returns the seconds to wait before the next attempt; None if there is none."""
        self._left -= 1
        if not self._left or not had_no_thread(error):
            return None
        pause = self._pause * random.uniform(1 - _JITTER, 1 + _JITTER)
        self._pause = min(self._pause * _PAUSE_FACTOR, _LONGEST_PAUSE / 1000)
        return pause if pause < self.seconds_left() else None


def _service_config(attempts: int) -> str:
    """Returns gRPC's service config: round robin over the addresses of a name, and retries."""
    method: dict[str, Any] = {"name": [{}]}
    if attempts > 1:
        method["retryPolicy"] = {
            "maxAttempts": attempts,
            "initialBackoff": f"{_FIRST_PAUSE / 1000}s",
            "maxBackoff": f"{_LONGEST_PAUSE / 1000}s",
            "backoffMultiplier": _PAUSE_FACTOR,
            # All calls only read, so a call whose answer was lost may be repeated.
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
    return json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [method]})
