"""Cuts of MovieLens-100K by time, held against the project's own reading of the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.ratings_by_week import EDITION, RatingsByWeek
from components.movielens_example_gen import reading
from pipeline.config.tree import DataConfig, PipelineConfig
from pipeline.ingest_options import ingest_options


@pytest.fixture(scope="module")
def year() -> RatingsByWeek:
    return RatingsByWeek(start=0.48)


def test_a_week_has_its_share_of_the_oldest_ratings(year: RatingsByWeek) -> None:
    assert [year.until(week).num_rows for week in (1, 26, 52)] == [49_000, 74_000, 100_000]
    times = year.until(26)["timestamp"].to_numpy()
    assert np.all(np.diff(times) >= 0)
    assert times[-1] <= year.until(52)["timestamp"].to_numpy()[74_000:].min()


def test_a_held_out_rating_stays_held_out(year: RatingsByWeek) -> None:
    earlier, later = (
        set(zip(columns["user_id"], columns["movie_id"], strict=True))
        for columns in map(year.holdout_until, (1, 2))
    )
    assert earlier < later
    assert 4_500 < len(earlier) < 5_300


def test_the_golden_set_has_ratings_of_the_first_week(tmp_path: Path, year: RatingsByWeek) -> None:
    year.write_golden_set(tmp_path, 1_000, 0)
    raw = reading.read_raw(str(tmp_path), EDITION)
    first = year.until(1).to_pylist()
    known = {(row["user_id"], row["movie_id"]): row["rating"] for row in first}
    found = raw.ratings.to_pylist()
    assert len({(row["user_id"], row["movie_id"]) for row in found}) == 1_000
    for row in found:
        assert float(row["rating"]) == known[row["user_id"], row["movie_id"]]


def test_spans_together_are_the_ratings_up_to_their_week(
    tmp_path: Path, year: RatingsByWeek
) -> None:
    for week in (1, 2, 3):
        year.write_span(tmp_path / f"{week:02}", week)
    options = ingest_options(PipelineConfig(data=DataConfig(dataset=EDITION)))
    raw, cleaned = reading.read(f"{tmp_path}/{{SPAN:2}}", options)
    # 49,000, and then a 52nd of the other 52,000 each.
    assert raw.span_rows == (49_000, 1_000, 1_000)
    found = cleaned.accepted.drop_columns(["row"]).to_pydict()
    assert found == year.until(3).drop_columns(["row"]).to_pydict()


def test_a_folder_is_read_as_it_was_written(tmp_path: Path, year: RatingsByWeek) -> None:
    ratings = year.until(1)
    stars = np.full(ratings.num_rows, 0.5)
    year.write(tmp_path, 1, stars)
    options = ingest_options(PipelineConfig(data=DataConfig(dataset=EDITION)))
    raw, cleaned = reading.read(str(tmp_path), options)
    assert cleaned.rejected.num_rows == 0
    for column in ("user_id", "movie_id", "timestamp"):
        assert cleaned.accepted[column].to_pylist() == ratings[column].to_pylist()
    assert set(cleaned.accepted["rating"].to_numpy()) == {0.5}
    first = raw.movies.slice(0, 1).to_pylist()[0]
    assert first["movie_title"] == "Toy Story (1995)"
    assert first["movie_genres"] == ["Animation", "Children's", "Comedy"]
