"""What was read: a small JSON and the rejected rows, both inside the examples artifact."""

from __future__ import annotations

import json
import os

import pyarrow.csv
from pydantic import BaseModel, ConfigDict

from components.movielens_example_gen.cleaning import CleanRatings

REPORT_FILE = "ingest.json"
REJECTED_FILE = "rejected.csv"


class IngestReport(BaseModel):
    """Counts of rows: all that were read are either rejected or in one of the splits."""

    model_config = ConfigDict(frozen=True)

    edition: str
    read: int
    rejected: int
    rejected_by_reason: dict[str, int]
    splits: dict[str, int]


def write(folder: str, report: IngestReport, cleaned: CleanRatings) -> None:
    """Writes both files into the artifact's folder."""
    with open(os.path.join(folder, REPORT_FILE), "w", encoding="utf-8") as file:
        json.dump(report.model_dump(), file, indent=2)
    pyarrow.csv.write_csv(cleaned.rejected, os.path.join(folder, REJECTED_FILE))


def read(folder: str) -> IngestReport:
    """The report of an examples artifact."""
    with open(os.path.join(folder, REPORT_FILE), encoding="utf-8") as file:
        return IngestReport.model_validate_json(file.read())
