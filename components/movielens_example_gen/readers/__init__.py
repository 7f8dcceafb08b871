"""One module an edition of MovieLens; each reads a folder into `RawRatings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from components.movielens_example_gen.options import EditionName
from components.movielens_example_gen.raw_ratings import RawRatings
from components.movielens_example_gen.readers import csv_folder, parquet_100k


@dataclass(frozen=True)
class Edition:
    """How an edition is read, from which files, and the range of its ratings in stars."""

    read: Callable[[str], RawRatings]
    files: tuple[str, ...]
    rating_min: float
    rating_max: float


EDITIONS: dict[EditionName, Edition] = {
    "ml-100k": Edition(parquet_100k.read, parquet_100k.FILES, 1.0, 5.0),
    "csv": Edition(csv_folder.read, csv_folder.FILES, 0.5, 5.0),
}
