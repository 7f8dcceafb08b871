"""Reads ratings as a run would, and reports what it finds; it writes nothing."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.movielens_example_gen import (
    cleaning,
    joining,
    reading,
    report,
    spans,
    splits,
)
from components.movielens_example_gen.report import SpanReport
from models import features
from models.records import Record
from pipeline.config.tree import PipelineConfig
from pipeline.datasets import locate
from pipeline.ingest_options import ingest_options

_EXAMPLES: Final = 3
# More distinct ratings than these are shown in as many ranges of equal width.
_BARS: Final = 11


class DataReport(Record):
    """What a table of ratings holds.

    Attributes:
        recognised: Line on the edition, the dialect, the scale and the times.
        examples: By reason, the first rows that were rejected.
        described: Share of the ratings whose movie has a title or genres; None without movies.
        ratings: Number of ratings by value, or by range.
        years: Number of ratings by year; empty without times.
        spans: Statistics of each span; empty for a path without spans.
        problem: Reason why a run would stop; None if it would not.
    """

    path: str
    recognised: str
    rows: int
    accepted: int
    rejected: int
    rejected_by_reason: dict[str, int]
    examples: dict[str, list[dict[str, Any]]]
    users: int
    movies: int
    described: float | None
    ratings: dict[str, int]
    years: dict[str, int]
    spans: tuple[SpanReport, ...]
    problem: str | None


def check(config: PipelineConfig) -> DataReport:
    """Returns the report on the ratings of a configuration.

    Raises:
        UserError: There is no such file, or nothing is known of it.
        DataError: The files cannot be read as ratings.
    """
    path = str(locate(config.data))
    options = ingest_options(config)
    source = spans.find(path, options.edition, options.window)
    raw, cleaned = reading.read_source(source, options)
    accepted, rejected = cleaned.accepted, cleaned.rejected
    described = None
    if raw.movies is not None and accepted.num_rows:
        ids = raw.movies[features.MOVIE_ID].combine_chunks()
        described = pc.mean(pc.is_in(accepted[features.MOVIE_ID], value_set=ids)).as_py()
    problem = None
    try:
        cleaning.require_few_rejected(cleaned, raw.ratings.num_rows, options.max_rejected_fraction)
        splits.require_times(cleaned.has_times, options.split)
        joining.require_matching_ids(accepted, raw)
        splits.assign(accepted, raw.ratings.num_rows, options.split)
    except DataError as error:
        problem = str(error)
    return DataReport(
        path=path,
        recognised=reading.recognised(source.edition, raw, cleaned),
        rows=raw.ratings.num_rows,
        accepted=accepted.num_rows,
        rejected=rejected.num_rows,
        rejected_by_reason=cleaned.rejected_by_reason,
        examples={reason: _first(rejected, reason) for reason in cleaned.rejected_by_reason},
        users=pc.count_distinct(accepted[features.USER_ID]).as_py(),
        movies=pc.count_distinct(accepted[features.MOVIE_ID]).as_py(),
        described=described,
        ratings=_ratings(accepted[features.RATING].to_numpy()),
        spans=report.by_span(source.spans, raw, accepted),
        years=_years(accepted[features.TIMESTAMP]) if cleaned.has_times else {},
        problem=problem,
    )


def _first(rejected: pa.Table, reason: str) -> list[dict[str, Any]]:
    rows = rejected.filter(pc.equal(rejected[cleaning.REASON], reason)).slice(0, _EXAMPLES)
    return rows.drop_columns([cleaning.REASON]).to_pylist()


def _ratings(values: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, int]:
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _BARS:
        return {f"{value:g}": int(n) for value, n in zip(distinct, counts, strict=True)}
    counts, edges = np.histogram(values, bins=_BARS - 1)
    return {
        f"{low:g} to {high:g}": int(n)
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    }


def _years(timestamps: pa.ChunkedArray) -> dict[str, int]:
    years = pc.year(pc.cast(timestamps, pa.timestamp("s")))
    counted = sorted(
        (entry["values"], entry["counts"]) for entry in pc.value_counts(years).to_pylist()
    )
    return {str(year): count for year, count in counted}
