import numpy as np
import pytest
import tensorflow as tf

from models.export.ragged_tables import from_table, padded_places, part_of, rows_of_values

ROWS = [[3, 1], [], [4, 1, 5], [], [9]]
RAGGED = tf.ragged.constant(ROWS, tf.int32, row_splits_dtype=tf.int64)


@pytest.mark.parametrize("shape", [(3, 2), (3, 0), (0, 2), (0, 0)])
def test_a_table_keeps_its_rows(shape: tuple[int, int]) -> None:
    table = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    ragged = from_table(tf.constant(table))
    assert ragged.to_list() == table.tolist()
    assert ragged.row_splits.dtype == tf.int64


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 4), (4, 5), (3, 100), (5, 6), (2, 2)])
def test_a_part_has_the_rows_of_the_slice(start: int, stop: int) -> None:
    assert part_of(RAGGED, slice(start, stop)).to_list() == ROWS[start:stop]


def test_values_know_their_rows() -> None:
    assert rows_of_values(RAGGED).numpy().tolist() == [0, 0, 2, 2, 2, 4]
    assert rows_of_values(RAGGED[:0]).numpy().tolist() == []


@pytest.mark.parametrize("rows", [[2, 0, 2, 1], [1, 3], []])
def test_places_lead_to_the_values_of_rows(rows: list[int]) -> None:
    places, known = padded_places(RAGGED.row_splits, tf.constant(rows, tf.int64))
    width = max((len(ROWS[row]) for row in rows), default=0)
    assert places.shape == known.shape == (len(rows), width)
    values = RAGGED.values.numpy()[places.numpy()]
    assert [list(line[mask]) for line, mask in zip(values, known.numpy(), strict=True)] == [
        ROWS[row] for row in rows
    ]
    assert not places.numpy()[~known.numpy()].any()
