"""The ratings that a report reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from movierec.report.rated_rows import read_rows


def write(folder: Path, files: int, rows: int) -> None:
    """Files of ratings whose movies are `FILE-ROW`, each with as many genres as its row says."""
    folder.mkdir()
    for file in range(files):
        with tf.io.TFRecordWriter(str(folder / f"data-{file:05d}.gz"), "GZIP") as writer:
            for row in range(rows):
                example = tf.train.Example()
                feature = example.features.feature
                feature["user_id"].bytes_list.value.append(b"u")
                feature["movie_id"].bytes_list.value.append(f"{file}-{row}".encode())
                feature["rating"].float_list.value.append(row)
                feature["movie_genres"].bytes_list.value.extend([b"War"] * row)
                writer.write(example.SerializeToString())


@pytest.mark.parametrize(
    ("files", "read"),
    [
        (3, [0, 1, 2]),
        # Ten files at equal distances.
        (12, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),
    ],
)
def test_the_first_rows_of_files_at_equal_distances_are_read(
    tmp_path: Path, files: int, read: list[int]
) -> None:
    write(tmp_path / "Split-train", files, 4)
    found = read_rows(str(tmp_path), "train", 2 * len(read))
    expected = [f"{file}-{row}".encode() for file in read for row in range(2)]
    assert found.columns["movie_id"].tolist() == expected
    assert found.columns["rating"].tolist() == [0, 1] * len(read)
    assert found.genres.tolist() == [b"War"] * len(read)
    assert found.genre_rows.tolist() == list(range(1, 2 * len(read), 2))
    assert set(found.columns["user_gender"].tolist()) == {b""}


def test_a_split_without_files_has_no_rows(tmp_path: Path) -> None:
    found = read_rows(str(tmp_path), "holdout", 100)
    assert len(found) == 0
    assert found.genre_rows.dtype == np.int64
