"""The ServingValidator's report on a model."""

from __future__ import annotations

from models.records import Record


class Latency(Record):
    """Latency of requests with one row, sent one after the other, in milliseconds."""

    median: float
    p99: float


class ServingReport(Record):
    """The verdict of the ServingValidator and its grounds.

    Attributes:
        blessed: Whether the model may be pushed.
        reason: Reason of the verdict, one line.
        server: Kind of the model server; None if no server started with the model.
        max_difference: Largest difference between an answer and the Trainer's prediction; None if
            the model failed before they were compared.
        latency: Latency by signature, for the signatures that answered.
    """

    blessed: bool
    reason: str
    server: str | None
    max_difference: float | None
    latency: dict[str, Latency]
