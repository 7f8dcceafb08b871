"""Readers of the forms in which ratings come, and the recognition of a form by its files.

A new edition takes three things: a module here that ends with its `EDITION`, a line in `EDITIONS`,
and its name in `EditionName` (`components/movielens_example_gen/options.py`).
"""

from __future__ import annotations

from components.movielens_example_gen.options import EditionName
from components.movielens_example_gen.readers import (
    csv_folder,
    dat_folder,
    movielens_100k,
    parquet_folder,
)
from components.movielens_example_gen.readers.edition import Edition

_HALF_STARS = (0.5, 5.0)

EDITIONS: dict[EditionName, Edition] = {
    "ml-100k": movielens_100k.EDITION,
    "ml-1m": dat_folder.edition("MovieLens 1M: 6,040 users, 2000-03", (1.0, 5.0), users=True),
    "ml-10m": dat_folder.edition("MovieLens 10M: 71,567 users, 1995-2009", _HALF_STARS),
    "ml-20m": csv_folder.edition("MovieLens 20M: 138,493 users, 1995-2015", _HALF_STARS),
    "ml-25m": csv_folder.edition("MovieLens 25M: 162,541 users, 1995-2019", _HALF_STARS),
    "ml-32m": csv_folder.edition("MovieLens 32M: 200,948 users, 1995-2023", _HALF_STARS),
    "ml-latest": csv_folder.edition("MovieLens latest, which changes", _HALF_STARS),
    "ml-latest-small": csv_folder.edition("MovieLens latest, 610 users", _HALF_STARS),
    "csv": csv_folder.EDITION,
    "parquet": parquet_folder.EDITION,
}
