"""Generated ratings, as the reader of the pipeline sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import generated_folders
from components.movielens_example_gen import reading

RATINGS, USERS, MOVIES = 60_000, 700, 900


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("generated")
    generated_folders.write(made, RATINGS, USERS, MOVIES)
    return made


def test_the_pipeline_reads_what_was_asked_for(folder: Path) -> None:
    raw = reading.read_raw(str(folder), "csv")
    rows = raw.ratings.to_pydict()
    pairs = set(zip(rows["user_id"], rows["movie_id"], strict=True))
    assert len(pairs) == len(rows["rating"])
    assert len(rows["rating"]) == pytest.approx(RATINGS, rel=0.1)
    assert len(set(rows["user_id"])) == USERS
    assert raw.movies.num_rows == MOVIES
    assert set(rows["movie_id"]) <= set(raw.movies["movie_id"].to_pylist())
    assert {float(value) for value in rows["rating"]} == set(np.arange(1, 11) / 2)


def test_few_movies_have_most_of_the_ratings(folder: Path) -> None:
    rows = reading.read_raw(str(folder), "csv").ratings
    _, counts = np.unique(rows["movie_id"].to_numpy(zero_copy_only=False), return_counts=True)
    _, activity = np.unique(rows["user_id"].to_numpy(zero_copy_only=False), return_counts=True)
    popular = np.sort(counts)[::-1][: MOVIES // 5].sum()
    assert 0.4 < popular / counts.sum() < 0.9
    assert np.median(activity) < activity.mean()


def test_equal_arguments_write_equal_files(folder: Path, tmp_path: Path) -> None:
    written = {}
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        generated_folders.write(tmp_path / str(seed), RATINGS, USERS, MOVIES, seed)
        written[seed] = (tmp_path / str(seed) / "ratings.csv").read_bytes()
    assert written[0] == (folder / "ratings.csv").read_bytes() != written[1]


def test_users_without_enough_movies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="20 ratings for each user"):
        generated_folders.write(tmp_path, 1000, 51, 100)
