"""What a model server is told, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from serving.tls import ServerTls

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class BatchingOptions:
    """How requests to `predict` that come at once are answered together.

    Attributes:
        max_batch_size: pairs in a batch.
        timeout_micros: microseconds that the first request of a batch waits for others.
        max_enqueued_batches: full batches that may wait before requests are refused.
    """

    max_batch_size: int = 1024
    timeout_micros: int = 1000
    max_enqueued_batches: int = 100


@dataclass(frozen=True)
class ServerOptions:
    """Addresses, limits and times.

    Attributes:
        model_name: the model's name in requests.
        base_path: the folder of its versions.
        host: the address that the gRPC and metrics ports are bound to.
        port: of gRPC; 0 takes a free one.
        tls: None serves in the clear.
        metrics_port: of Prometheus metrics over HTTP; None opens none, 0 takes a free one.
        batching: None answers each request by itself.
        version_labels: versions by the label that a request may name instead.
        max_message_bytes: of a request or an answer.
        max_concurrent_requests: more than that are refused.
        poll_seconds: between two looks for a new version.
        drain_seconds: that requests in flight have to finish when the server is told to stop.
    """

    model_name: str
    base_path: Path
    host: str = LOOPBACK
    port: int = 8500
    tls: ServerTls | None = None
    metrics_port: int | None = None
    batching: BatchingOptions | None = None
    version_labels: Mapping[str, int] = field(default_factory=dict)
    max_message_bytes: int = 16 * 1024 * 1024
    max_concurrent_requests: int = 128
    poll_seconds: float = 1.0
    drain_seconds: float = 10.0
