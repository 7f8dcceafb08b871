import numpy as np
import pytest

from models.training import epoch_order
from models.training.epoch_order import EpochOrder


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 1000, 1024])
@pytest.mark.parametrize("step", [7, 64, 5000])
def test_every_row_comes_once(monkeypatch: pytest.MonkeyPatch, rows: int, step: int) -> None:
    """Windows of 64 rows in blocks of 16, asked for in pieces that cross them."""
    monkeypatch.setattr(epoch_order, "WINDOW", 64)
    monkeypatch.setattr(epoch_order, "BLOCK", 16)
    order = EpochOrder(rows, seed=3, epoch=2)
    pieces = [order.rows(first, min(first + step, rows)) for first in range(0, rows, step)]
    assert sorted(np.concatenate(pieces)) == list(range(rows))


def test_few_rows_are_a_uniform_permutation_by_seed_and_epoch() -> None:
    first = EpochOrder(500, seed=3, epoch=2).rows(0, 500)
    expected = np.random.default_rng([3, 2]).permutation(np.arange(500))
    np.testing.assert_array_equal(first, expected)
    for other in (EpochOrder(500, seed=4, epoch=2), EpochOrder(500, seed=3, epoch=3)):
        assert (other.rows(0, 500) != first).any()


def test_a_window_reads_few_blocks_and_an_epoch_orders_them_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(epoch_order, "WINDOW", 64)
    monkeypatch.setattr(epoch_order, "BLOCK", 16)
    windows = [EpochOrder(1024, 3, epoch).rows(0, 64) // 16 for epoch in (1, 2)]
    for blocks in windows:
        assert len(set(blocks)) == 4
        assert (np.diff(blocks) != 0).any(), "rows of a window are shuffled across its blocks"
    assert set(windows[0]) != set(windows[1])


def test_where_it_is_taken_up_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_order, "WINDOW", 64)
    monkeypatch.setattr(epoch_order, "BLOCK", 16)
    whole = EpochOrder(1000, 3, 1).rows(0, 1000)
    np.testing.assert_array_equal(EpochOrder(1000, 3, 1).rows(500, 777), whole[500:777])
