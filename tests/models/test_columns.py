from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models import columns


def write(path: Path, rows: list[dict]) -> None:
    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for row in rows:
            example = tf.train.Example()
            example.features.feature["user_index"].int64_list.value.append(row["user"])
            example.features.feature["movie_index"].int64_list.value.append(row["movie"])
            if "rating" in row:
                example.features.feature["rating"].float_list.value.append(row["rating"])
            writer.write(example.SerializeToString())


def test_reads_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path / "b.gz", [{"user": 3, "movie": 1, "rating": 2.5}])
    write(
        tmp_path / "a.gz",
        [{"user": 1, "movie": 2, "rating": 4}, {"user": 0, "movie": 0, "rating": 0}],
    )
    found = columns.read_columns([str(tmp_path / "*.gz")], columns.RATING_COLUMNS)
    assert found["user_index"].tolist() == [1, 0, 3]
    assert found["movie_index"].tolist() == [2, 0, 1]
    assert found["rating"].tolist() == [4.0, 0.0, 2.5]
    assert found["user_index"].dtype == np.int32
    assert found["rating"].dtype == np.float32


def test_no_records_are_empty_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.gz", [])
    found = columns.read_columns([str(tmp_path / "*.gz")], columns.RATING_COLUMNS)
    assert columns.row_count(found) == 0
    assert found["rating"].dtype == np.float32


def test_a_record_without_the_feature_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.gz", [{"user": 1, "movie": 2}])
    with pytest.raises(tf.errors.InvalidArgumentError, match="rating"):
        columns.read_columns([str(tmp_path / "*.gz")], columns.RATING_COLUMNS)


def test_canonical_order_does_not_depend_on_the_order_read(rng: np.random.Generator) -> None:
    pairs = rng.permutation(60)
    ratings = {
        "user_index": (pairs // 10).astype(np.int32),
        "movie_index": (pairs % 10).astype(np.int32),
        "rating": rng.random(60).astype(np.float32),
    }
    order = rng.permutation(60)
    shuffled = {name: values[order] for name, values in ratings.items()}
    one, two = columns.canonical_order(ratings), columns.canonical_order(shuffled)
    for name in ratings:
        np.testing.assert_array_equal(one[name], two[name])
    assert (one["user_index"] * 10 + one["movie_index"]).tolist() == list(range(60))
