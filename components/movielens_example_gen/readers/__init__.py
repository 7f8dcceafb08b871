"""One module for each edition of the ratings.

A new edition takes three things: a module here that ends with its `EDITION`, a line in `EDITIONS`,
and its name in `EditionName` (`components/movielens_example_gen/options.py`).
"""

from __future__ import annotations

from components.movielens_example_gen.options import EditionName
from components.movielens_example_gen.readers import csv_folder, parquet_100k
from components.movielens_example_gen.readers.edition import Edition

EDITIONS: dict[EditionName, Edition] = {
    "ml-100k": parquet_100k.EDITION,
    "csv": csv_folder.EDITION,
}
