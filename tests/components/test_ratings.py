from pathlib import Path

import pytest
import tensorflow as tf

from components import ratings

ROWS = [[("7", "1", 4.0), ("8", "1", 3.0)], [("9", "2", 5.0), ("7", "2", 2.5)]]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An examples artifact with a split of two files."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "Split-train").mkdir()
    for number, rows in enumerate(ROWS):
        path = str(folder / "Split-train" / f"{number}.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for user, movie, stars in rows:
                writer.write(_example(user, movie, stars).SerializeToString())
    return folder


def _example(user: str, movie: str, stars: float) -> tf.train.Example:
    example = tf.train.Example()
    for name, value in (("user_id", user), ("movie_id", movie), ("movie_title", f"M{movie}")):
        example.features.feature[name].bytes_list.value.append(value.encode())
    example.features.feature["rating"].float_list.value.append(stars)
    return example


def test_the_ratings_of_one_user_come_from_all_files(examples: Path) -> None:
    found = ratings.of_user(str(examples), "train", "7")
    rows = zip(*(found[name].tolist() for name in found), strict=True)
    named = [dict(zip(found, row, strict=True)) for row in rows]
    assert [(row["movie_id"], row["movie_title"], row["rating"]) for row in named] == [
        (b"1", b"M1", 4.0),
        (b"2", b"M2", 2.5),
    ]
    assert {row["user_id"] for row in named} == {b"7"}


def test_a_user_without_ratings_has_none(examples: Path) -> None:
    found = ratings.of_user(str(examples), "train", "70")
    assert set(found) == {"user_id", "movie_id", "movie_title", "rating"}
    assert not any(map(len, found.values()))
