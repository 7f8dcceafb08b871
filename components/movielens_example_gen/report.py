"""The report on what was read: counts as JSON and the rejected rows as CSV."""

from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.csv
from tfx.dsl.io import fileio

from components.movielens_example_gen.cleaning import CleanRatings
from models.records import Record

REPORT_FILE = "ingest.json"
REJECTED_FILE = "rejected.csv"


class IngestReport(Record):
    """Counts of rows: every row that was read is rejected, withheld, or in one of the splits.

    Attributes:
        withheld: Ratings in no split, because the golden set has the same users and movies.
        golden: Ratings of the golden set.
    """

    edition: str
    recognised: str
    read: int
    rejected: int
    rejected_by_reason: dict[str, int]
    splits: dict[str, int]
    withheld: int = 0
    golden: int = 0


def write(folder: str, report: IngestReport, cleaned: CleanRatings) -> None:
    """Writes both files into the folder of the examples artifact."""
    with fileio.open(os.path.join(folder, REPORT_FILE), "w") as file:
        file.write(json.dumps(report.model_dump(), indent=2))
    rejected = pa.BufferOutputStream()
    pyarrow.csv.write_csv(cleaned.rejected, rejected)
    with fileio.open(os.path.join(folder, REJECTED_FILE), "wb") as file:
        file.write(rejected.getvalue().to_pybytes())


def read(folder: str) -> IngestReport:
    """Returns the report of an examples artifact."""
    with fileio.open(os.path.join(folder, REPORT_FILE), "r") as file:
        return IngestReport.model_validate_json(file.read())
