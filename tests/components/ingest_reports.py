"""The report beside the ratings, as MovieLensExampleGen writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.movielens_example_gen import report


def write(folder: Path, **fields: Any) -> None:
    """Writes a report with these fields into the folder of an examples artifact."""
    ingest = report.IngestReport(
        **{
            "edition": "csv",
            "recognised": "",
            "fingerprint": "digest",
            "trained_until": 0,
            "spans": (),
            "read": 0,
            "rejected": 0,
            "rejected_by_reason": {},
            "splits": {},
            **fields,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / report.REPORT_FILE).write_text(ingest.model_dump_json())
