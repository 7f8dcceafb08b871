from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from movierec.explorer.user_ratings import UserRatings, read_user_ratings, scale_of
from pipeline.workspace import Workspace
from serving.answers import Recommendation


def write(folder: Path, split: str, rows: list[tuple[str, str, float]]) -> None:
    path = folder / f"Split-{split}" / "part.gz"
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for user, movie, stars in rows:
            example = tf.train.Example()
            feature = example.features.feature
            feature["user_id"].bytes_list.value.append(user.encode())
            feature["movie_id"].bytes_list.value.append(movie.encode())
            feature["movie_title"].bytes_list.value.append(f"Film {movie}".encode())
            feature["rating"].float_list.value.append(stars)
            writer.write(example.SerializeToString())


@pytest.fixture
def ratings(tmp_path: Path) -> UserRatings:
    write(tmp_path, "train", [("7", "1", 2.0), ("10", "1", 4.5), ("7", "2", 5.0)])
    write(tmp_path, "eval", [("1", "3", 1.0), ("7", "3", 4.5)])
    return UserRatings(str(tmp_path))


def test_a_user_rated_in_both_splits_the_highest_first(ratings: UserRatings) -> None:
    assert ratings.of("7") == [
        Recommendation("2", "Film 2", 5.0),
        Recommendation("3", "Film 3", 4.5),
        Recommendation("1", "Film 1", 2.0),
    ]
    assert [entry.movie_id for entry in ratings.of("1")] == ["3"]
    assert ratings.of("nobody") == []


def test_the_scale_is_that_of_the_ratings(ratings: UserRatings) -> None:
    assert scale_of(ratings) == [1.0, 2.0, 4.5, 5.0]
    assert scale_of(None) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_version_of_no_run_has_no_ratings(tmp_path: Path) -> None:
    assert read_user_ratings(Workspace(tmp_path), tmp_path / "serving" / "movierec" / "1") is None
