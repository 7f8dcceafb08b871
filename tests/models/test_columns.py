from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models import columns
from models.options import TrainingOptions
from models.training.loop import TrainingLoop
from tests.models import factories


def write(path: Path, rows: list[dict]) -> None:
    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for row in rows:
            example = tf.train.Example()
            example.features.feature["user_index"].int64_list.value.append(row["user"])
            example.features.feature["movie_index"].int64_list.value.append(row["movie"])
            if "rating" in row:
                example.features.feature["rating"].float_list.value.append(row["rating"])
            writer.write(example.SerializeToString())


def test_reads_every_row_of_every_file(tmp_path: Path) -> None:
    write(tmp_path / "b.gz", [{"user": 3, "movie": 1, "rating": 2.5}])
    write(
        tmp_path / "a.gz",
        [{"user": 1, "movie": 2, "rating": 4}, {"user": 0, "movie": 0, "rating": 0}],
    )
    found = columns.read_columns([str(tmp_path / "*.gz")], columns.RATING_COLUMNS)
    rows = zip(*(found[name].tolist() for name in columns.RATING_COLUMNS), strict=True)
    assert sorted(rows) == [(0, 0, 0.0), (1, 2, 4.0), (3, 1, 2.5)]
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


def some_columns(rng: np.random.Generator, rows: int) -> columns.Columns:
    return {
        "user_index": rng.integers(0, 97, rows).astype(np.int32),
        "movie_index": rng.permutation(rows).astype(np.int32),
        "rating": rng.random(rows).astype(np.float32),
    }


@pytest.mark.parametrize("budget", [1, 500, 3_000, 1_000_000])
def test_columns_past_the_budget_lie_in_files_and_read_the_same(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    """400 rows of 12 bytes, which come in parts of 64 rows."""
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", 64)
    expected = some_columns(rng, 400)
    storage = columns.ColumnStorage(budget)
    stored = storage.collect(columns.in_parts(expected))
    in_file = isinstance(stored["rating"], np.memmap)
    assert in_file == (budget < 400 * 12)
    ordered = storage.canonical_order(stored)
    assert isinstance(ordered["rating"], np.memmap) == in_file
    in_memory = columns.canonical_order(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(stored[name], values)
        np.testing.assert_array_equal(ordered[name], in_memory[name])


def test_sorting_what_is_in_files_takes_parts_within_the_budget(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", 64)
    sorted_rows: list[int] = []

    def watched(part: columns.Columns) -> columns.Columns:
        sorted_rows.append(columns.row_count(part))
        return part

    monkeypatch.setattr(columns, "canonical_order", watched)
    ratings = some_columns(rng, 4_000)
    columns.ColumnStorage(12 * 500).canonical_order(ratings)
    most_of_one_user = np.bincount(ratings["user_index"]).max()
    assert sum(sorted_rows) == 4_000
    assert max(sorted_rows) <= 500 + most_of_one_user


def test_a_training_on_columns_in_files_is_one_on_columns_in_memory(
    rng: np.random.Generator,
) -> None:
    ratings = factories.ratings(rng, 75)
    start = rng.bit_generator.state

    def trained(budget: int) -> np.ndarray:
        rng.bit_generator.state = start
        model = factories.biased_mf(rng)
        options = TrainingOptions(epochs=2, batch_size=16, learning_rate=0.1)
        stored = columns.ColumnStorage(budget).collect(columns.in_parts(ratings))
        assert isinstance(stored["rating"], np.memmap) == (budget == 1)
        TrainingLoop(model, options).train_for(stored, 2)
        return model.user_embedding.numpy()

    np.testing.assert_array_equal(trained(1), trained(1_000_000))


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
