"""Reads and cleans an edition, and says what was recognised; the step and `data check` do it."""

from __future__ import annotations

from components.movielens_example_gen import cleaning, input_files
from components.movielens_example_gen.cleaning import CleanRatings
from components.movielens_example_gen.options import Dialect, EditionName, IngestOptions
from components.movielens_example_gen.readers import EDITIONS
from components.movielens_example_gen.readers.edition import RawRatings


def read(base: str, options: IngestOptions) -> tuple[RawRatings, CleanRatings]:
    """Returns the tables of an edition, and its ratings without the rows that cannot be ratings.

    Args:
        base: Folder, zip archive or file, on this machine or in cloud storage.
        options: Edition, dialect and bounds.

    Raises:
        DataError: The files cannot be read as the edition.
    """
    raw = read_raw(base, options.edition, options.dialect)
    edition = EDITIONS[options.edition]
    cleaned = cleaning.clean(raw, options.bounds, options.dialect, edition.rating_range)
    return raw, cleaned


def read_raw(base: str, edition: EditionName, dialect: Dialect | None = None) -> RawRatings:
    """Returns the tables of an edition as they are in its files.

    Args:
        base: Folder, zip archive or file, on this machine or in cloud storage.
        edition: Name of the edition.
        dialect: What is set of the dialect; None to recognise all of it.

    Raises:
        DataError: The files cannot be read as the edition.
    """
    with input_files.local_files(base, EDITIONS[edition]) as files:
        return EDITIONS[edition].read(files, dialect or Dialect())


def recognised(edition: EditionName, raw: RawRatings, cleaned: CleanRatings) -> str:
    """Returns one line on the edition, the dialect, the scale and the unit of the times."""
    return ", ".join((edition, *raw.recognised, *cleaned.recognised))
