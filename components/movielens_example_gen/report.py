"""The report on what was read: counts as JSON and the rejected rows as CSV."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from tfx.dsl.io import fileio

from components.movielens_example_gen.cleaning import ROW, CleanRatings
from components.movielens_example_gen.readers.edition import RawRatings
from components.movielens_example_gen.spans import Span
from models import features
from models.records import Record

REPORT_FILE = "ingest.json"
REJECTED_FILE = "rejected.csv"

_BINS = 20


class SpanReport(Record):
    """Statistics of one span, without the ratings that a newer span replaces.

    Attributes:
        name: Number or date of the span.
        read: Number of rows.
        accepted: Number of rows that are ratings.
        users: Number of users who rated.
        movies: Number of movies that were rated.
        mean: Mean rating, in stars; None without ratings.
        histogram: Number of ratings in each of 20 equal parts of the range of all spans.
    """

    name: str
    read: int
    accepted: int
    users: int
    movies: int
    mean: float | None
    histogram: tuple[int, ...]


class IngestReport(Record):
    """Counts of rows: every row that was read is rejected, withheld, or in one of the splits.

    Attributes:
        fingerprint: Digest of the files that were read.
        trained_until: Newest time among train and eval, in seconds since 1970.
        spans: Statistics of each span, oldest first; empty for a path without spans.
        withheld: Ratings in no split, because the golden set has the same users and movies.
        golden: Ratings of the golden set.
    """

    fingerprint: str
    trained_until: int
    spans: tuple[SpanReport, ...]
    edition: str
    recognised: str
    read: int
    rejected: int
    rejected_by_reason: dict[str, int]
    splits: dict[str, int]
    withheld: int = 0
    golden: int = 0


def by_span(found: Sequence[Span], raw: RawRatings, accepted: pa.Table) -> tuple[SpanReport, ...]:
    """Returns the statistics of each span; nothing for a path without spans.

    Args:
        found: Spans that were read.
        raw: Tables of all spans.
        accepted: Ratings with `row`, `user_id`, `movie_id` and `rating`.
    """
    ends = np.searchsorted(accepted[ROW].to_numpy(), np.cumsum([0, *raw.span_rows]))
    edges = np.histogram_bin_edges(accepted[features.RATING].to_numpy(), _BINS)
    return tuple(
        _of_span(span.name, read, accepted.slice(start, end - start), edges)
        for span, read, start, end in zip(found, raw.span_rows, ends, ends[1:], strict=False)
    )


def _of_span(
    name: str, read: int, ratings: pa.Table, edges: np.ndarray[Any, np.dtype[np.floating[Any]]]
) -> SpanReport:
    counts, _ = np.histogram(ratings[features.RATING].to_numpy(), edges)
    return SpanReport(
        name=name,
        read=read,
        accepted=ratings.num_rows,
        users=pc.count_distinct(ratings[features.USER_ID]).as_py(),
        movies=pc.count_distinct(ratings[features.MOVIE_ID]).as_py(),
        mean=pc.mean(ratings[features.RATING]).as_py(),
        histogram=tuple(counts.tolist()),
    )


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
