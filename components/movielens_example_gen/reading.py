"""Reads and cleans ratings, and says what was recognised; the step and `data check` do it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from components.errors import DataError
from components.movielens_example_gen import cleaning, input_files, spans
from components.movielens_example_gen.cleaning import CleanRatings
from components.movielens_example_gen.options import Dialect, EditionName, IngestOptions
from components.movielens_example_gen.readers import EDITIONS
from components.movielens_example_gen.readers.csv_folder import first_of_each
from components.movielens_example_gen.readers.edition import RawRatings, stacked
from components.movielens_example_gen.spans import Source, Span
from models import features


def read(base: str, options: IngestOptions) -> tuple[RawRatings, CleanRatings]:
    """Returns the tables of a path, and its ratings without the rows that cannot be ratings.

    Args:
        base: Folder, zip archive or file, on this machine or in cloud storage, or a path with
            placeholders for several of them.
        options: Edition, window, dialect and bounds.

    Raises:
        DataError: The files cannot be read as the edition.
    """
    return read_source(spans.find(base, options.edition, options.window), options)


def read_source(source: Source, options: IngestOptions) -> tuple[RawRatings, CleanRatings]:
    """Returns what `read` does, of spans that were found before.

    Where several spans have a rating of a movie by a user, the newest rating counts, of equal times
    that of the newest span. The newest span also describes a movie or a user, and what no span
    describes, the file of movies beside the spans.

    Raises:
        DataError: The files cannot be read as the edition, or the columns of two spans differ.
    """
    raws = [_read_span(span, source, options.dialect) for span in source.spans]
    has_spans = bool(source.spans[0].name)
    raw = _joined(raws, source.spans, _beside(source, options.dialect)) if has_spans else raws[0]
    edition = EDITIONS[source.edition]
    cleaned = cleaning.clean(raw, options.bounds, options.dialect, edition.rating_range)
    if not has_spans:
        return raw, cleaned
    if source.movies is not None:
        beside = f"movies of {source.movies.name} beside them"
        raw = dataclasses.replace(raw, recognised=(raw.recognised[0], beside, *raw.recognised[1:]))
    names = [span.name for span in source.spans]
    return raw, dataclasses.replace(
        cleaned,
        rejected=_by_span(cleaned.rejected, raw.span_rows, names),
        span_rows=dict(zip(names, raw.span_rows, strict=True)),
    )


def _read_span(span: Span, source: Source, dialect: Dialect) -> RawRatings:
    try:
        return read_raw(span.path, source.edition, dialect, span.place)
    except DataError as error:
        # The files of all spans can have the same name.
        if not span.name or span.path in str(error):
            raise
        raise DataError(f"{span.path}: {error}") from error


def _beside(source: Source, dialect: Dialect) -> pa.Table | None:
    """Returns the movies beside the spans, if there are some."""
    read_movies = EDITIONS[source.edition].read_movies
    if source.movies is None or read_movies is None:
        return None
    with input_files.local_file(source.movies) as file:
        return read_movies(file.path, dialect)


def _joined(
    raws: Sequence[RawRatings], found: Sequence[Span], beside: pa.Table | None
) -> RawRatings:
    for one, span in zip(raws, found, strict=True):
        if not one.ratings.num_rows:
            raise DataError(f"{span.path}: the ratings have no rows")
        if stacked([one.ratings, raws[-1].ratings]) is None:
            raise DataError(
                f"the columns of {span.path} ({_columns(one)}) are not those of {found[-1].path} "
                f"({_columns(raws[-1])}): write all spans alike"
            )
    ratings = stacked([one.ratings for one in raws])
    if ratings is None:
        raise DataError(f"the columns of the spans of {found[0].path} differ: write all alike")
    rows = tuple(one.ratings.num_rows for one in raws)
    first, last = found[0].name, found[-1].name
    several = f"{len(raws)} spans {first} to {last}"
    return RawRatings(
        ratings=ratings,
        # What a span says of a movie is newer.
        movies=_newest([beside, *(one.movies for one in raws)], features.MOVIE_ID),
        users=_newest([one.users for one in raws], features.USER_ID),
        header=raws[-1].header,
        cut_rows=tuple(
            sum(rows[:number]) + row for number, one in enumerate(raws) for row in one.cut_rows
        ),
        recognised=(several if len(raws) > 1 else f"span {first}", *raws[-1].recognised),
        blank_lines=sum(one.blank_lines for one in raws),
        span_rows=rows,
        file_rows=tuple(
            count
            for one, span_rows in zip(raws, rows, strict=True)
            for count in (one.file_rows or (span_rows,))
        ),
    )


def _columns(raw: RawRatings) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in raw.ratings.schema)


def _newest(tables: Sequence[pa.Table | None], key: str) -> pa.Table | None:
    """Returns the rows of all tables, of each key that of the last table."""
    present = [table for table in reversed(tables) if table is not None]
    return first_of_each(pa.concat_tables(present), key) if present else None


def _by_span(rejected: pa.Table, rows: Sequence[int], span_names: Sequence[str]) -> pa.Table:
    """Returns rejected rows with the span of each, and its row in the span."""
    starts = np.cumsum([0, *rows[:-1]])
    row = rejected[cleaning.ROW].to_numpy()
    at = np.searchsorted(starts, row, side="right") - 1
    names = pa.array(span_names, pa.string()).take(pa.array(at))
    others = rejected.drop_columns([cleaning.ROW])
    others = others.add_column(0, cleaning.ROW, pa.array(row - starts[at]))
    return others.add_column(0, cleaning.SPAN, names)


def read_raw(
    base: str, edition: EditionName, dialect: Dialect | None = None, place: str = ""
) -> RawRatings:
    """Returns the tables of an edition as they are in its files.

    Args:
        base: Folder, zip archive or file, on this machine or in cloud storage.
        edition: Name of the edition.
        dialect: What is set of the dialect; None to recognise all of it.
        place: Last part of the path that placeholders stand for, if there are any.

    Raises:
        DataError: The files cannot be read as the edition.
    """
    with input_files.local_files(base, EDITIONS[edition], place) as files:
        return EDITIONS[edition].read(files, dialect or Dialect())


def recognised(edition: EditionName, raw: RawRatings, cleaned: CleanRatings) -> str:
    """Returns one line on the edition, the dialect, the scale and the unit of the times."""
    blank = (f"{raw.blank_lines:,} blank lines",) if raw.blank_lines else ()
    return ", ".join((edition, *raw.recognised, *blank, *cleaned.recognised))
