"""What was found out about a model in a server, as a small JSON inside the blessing."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict
from tfx.utils import io_utils

REPORT_FILE = "report.json"


class Latency(BaseModel):
    """Of requests with one row, one after the other, in milliseconds."""

    model_config = ConfigDict(frozen=True)

    median: float
    p99: float


class ServingReport(BaseModel):
    """The verdict and what it rests on.

    Attributes:
        blessed: whether the model may be pushed.
        reason: one line.
        server: which one the model was in; None if none came up.
        max_difference: the largest between an answer and the Trainer's prediction; None if it did
            not come to that.
        latency: by signature, of those that answered.
    """

    model_config = ConfigDict(frozen=True)

    blessed: bool
    reason: str
    server: str | None
    max_difference: float | None
    latency: dict[str, Latency]


def write(folder: str, report: ServingReport) -> None:
    """Writes the JSON into the artifact's folder."""
    io_utils.write_string_file(os.path.join(folder, REPORT_FILE), report.model_dump_json(indent=2))


def read(folder: str) -> ServingReport:
    """The report of a blessing."""
    return ServingReport.model_validate_json(
        io_utils.read_string_file(os.path.join(folder, REPORT_FILE))
    )
