"""Options of a model server, whichever program it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from serving.defaults import (
    DEFAULT_PORT,
    LOOPBACK,
    MAX_CONCURRENT_REQUESTS,
    MAX_MESSAGE_BYTES,
    POLL_SECONDS,
)

if TYPE_CHECKING:
    from serving.tls import ServerTls


class WantedServer(StrEnum):
    """The model server that a person asks for: the values of `--server`."""

    AUTO = "auto"
    BINARY = "binary"
    DOCKER = "docker"
    EMBEDDED = "embedded"


@dataclass(frozen=True)
class BatchingOptions:
    """How concurrent requests to `predict` are answered together.

    Attributes:
        max_batch_size: Most pairs in a batch.
        timeout_micros: Microseconds that the first request of a batch waits for others.
        max_enqueued_batches: Most batches that may wait; further requests are refused.
    """

    max_batch_size: int = 1024
    timeout_micros: int = 1000
    max_enqueued_batches: int = 100


@dataclass(frozen=True)
class RequestLogOptions:
    """Which requests the embedded server logs, and where.

    Attributes:
        folder: Folder of the log, for one server alone.
        share: Share of the answered requests that is logged, from 0 to 1.
        max_bytes: Size of all files together; the oldest lines make room for new ones.
        raw_ids: Whether the ids of users and movies are logged as they are, not as hashes.
    """

    folder: Path
    share: float = 0.01
    max_bytes: int = 100 << 20
    raw_ids: bool = False


@dataclass(frozen=True)
class ServerOptions:
    """Addresses, limits and times.

    Attributes:
        model_name: Name of the model in requests.
        base_path: Folder of the model's versions.
        host: Address that the gRPC and metrics ports are bound to.
        port: gRPC port; 0 takes a free one.
        tls: Certificate and key; None serves in the clear.
        rest_port: HTTP port of the REST API; None opens none, 0 takes a free one.
        metrics_port: HTTP port of the Prometheus metrics; None opens none, 0 takes a free one.
        batching: How `predict` is batched; None answers each request by itself.
        version_labels: Version numbers by the label that a request may give instead.
        max_message_bytes: Largest request or answer, in bytes.
        max_concurrent_requests: Most requests at once; further ones are refused.
        check_ops: Whether the embedded server refuses a version with ops that may read or write
            files or call Python; see `serving.allowed_ops`.
        request_log: Log of requests of the embedded server; None writes none.
        load_retries: Attempts of TensorFlow Serving to load a version after the first one has
            failed; None for half an hour of them, or one minute if there are labels.
        poll_seconds: Seconds between two looks for a new version.
        drain_seconds: Seconds that requests in flight have to finish when the server stops.
    """

    model_name: str
    base_path: Path
    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    tls: ServerTls | None = None
    rest_port: int | None = None
    metrics_port: int | None = None
    batching: BatchingOptions | None = None
    version_labels: Mapping[str, int] = field(default_factory=dict)
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS
    check_ops: bool = True
    request_log: RequestLogOptions | None = None
    load_retries: int | None = None
    poll_seconds: float = POLL_SECONDS
    drain_seconds: float = 10.0
