import re

import pytest

from components.movielens_example_gen import cleaning
from components.movielens_example_gen.options import Dialect
from components.movielens_example_gen.readers.edition import RawRatings
from pipeline import SCHEMA_FILE, row_bounds
from tests.components.test_cleaning import raw


def test_the_bounds_of_cleaning_are_those_of_the_schema() -> None:
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    ratings, times = re.findall(
        r"name: \"(?:rating|timestamp)\".*?min: (-?\d+) max: (\d+)", text, re.DOTALL
    )
    bounds = row_bounds.read()
    assert (bounds.rating_min, bounds.rating_max) == tuple(map(float, ratings))
    assert (bounds.timestamp_min, bounds.timestamp_max) == tuple(map(int, times))


@pytest.mark.parametrize("beyond", ["rating_min", "rating_max", "timestamp_min", "timestamp_max"])
def test_what_the_schema_refuses_is_set_aside(beyond: str) -> None:
    bounds = row_bounds.read()
    limit = int(getattr(bounds, beyond))
    outside = str(limit - 1 if beyond.endswith("min") else limit + 1)
    row = ("7", "1", outside, "9") if beyond.startswith("rating") else ("7", "1", "3", outside)
    cleaned = cleaning.clean(RawRatings(raw(row)), bounds, Dialect(), (-1e9, 1e9))
    assert cleaned.accepted.num_rows == 0
    assert cleaned.rejected["reason"][0].as_py().endswith("out of range")
