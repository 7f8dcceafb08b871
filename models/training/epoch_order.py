"""The shuffled order of the ratings in an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]

# Rows that are shuffled together. A window consists of blocks of neighbouring rows, so that of
# ratings in a file only a window must be in memory at a time.
WINDOW = 1 << 24
BLOCK = 1 << 16


class EpochOrder:
    """A random order of rows that depends only on the seed and the epoch.

    Up to 16.8 million rows it is a uniform permutation. More rows are split into blocks of 65,536
    neighbours, and 256 random blocks at a time are shuffled together.
    """

    def __init__(self, rows: int, seed: int, epoch: int) -> None:
        """Orders the blocks; `rows` shuffles within them.

        Args:
            rows: Number of rows.
            seed: Seed of the training.
            epoch: Number of the epoch, from 1.
        """
        self._rows = rows
        self._seed = [seed, epoch]
        self._dtype = np.int32 if rows < 2**31 else np.int64
        self._block = rows if rows <= WINDOW else BLOCK
        blocks = -(-rows // self._block)
        order = np.random.default_rng(self._seed).permutation(blocks)
        self._windows = np.split(order, range(WINDOW // BLOCK, blocks, WINDOW // BLOCK))
        sizes = [sum(len(self._rows_of_block(b)) for b in window) for window in self._windows]
        self._starts = np.cumsum([0, *sizes])
        self._shuffled_window = -1
        self._shuffled: Rows = np.empty(0, self._dtype)

    def rows(self, first: int, last: int) -> Rows:
        """Returns the rows at the positions `first` to `last - 1`, int32 or int64."""
        parts = []
        while first < last:
            window = int(np.searchsorted(self._starts, first, side="right")) - 1
            start, end = self._starts[window], min(last, self._starts[window + 1])
            parts.append(self._rows_of_window(window)[first - start : end - start])
            first = end
        return np.concatenate(parts)

    def _rows_of_window(self, window: int) -> Rows:
        if window != self._shuffled_window:
            rows = np.concatenate(
                [
                    np.arange(blocks.start, blocks.stop, dtype=self._dtype)
                    for blocks in map(self._rows_of_block, self._windows[window])
                ]
            )
            seed = self._seed if len(self._windows) == 1 else [*self._seed, window]
            self._shuffled = np.random.default_rng(seed).permutation(rows)
            self._shuffled_window = window
        return self._shuffled

    def _rows_of_block(self, block: int) -> range:
        return range(block * self._block, min((block + 1) * self._block, self._rows))
