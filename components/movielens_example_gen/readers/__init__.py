"""One module an edition of MovieLens; each reads a folder into `RawRatings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from components.movielens_example_gen.raw_ratings import RawRatings
from components.movielens_example_gen.readers import csv_folder, parquet_100k


@dataclass(frozen=True)
class Edition:
    """How an edition is read, and the range of its ratings in stars."""

    read: Callable[[str], RawRatings]
    file_pattern: str
    rating_min: float
    rating_max: float


EDITIONS = {
    "ml-100k": Edition(parquet_100k.read, parquet_100k.FILE_PATTERN, 1.0, 5.0),
    "csv": Edition(csv_folder.read, csv_folder.FILE_PATTERN, 0.5, 5.0),
}
