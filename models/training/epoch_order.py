"""The order in which an epoch takes the ratings."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]

# Rows that are shuffled among each other. More than that are taken in blocks of neighbours, so
# that of ratings in a file no more than a window need be in memory at a time.
_WINDOW = 1 << 24
_BLOCK = 1 << 16


class EpochOrder:
    """A random order of n rows that the seed and the epoch alone decide.

    Up to 16.8 million rows it is a uniform permutation. More are split into blocks of 65,536
    neighbours; 256 blocks at a time, drawn at random, are shuffled together.
    """

    def __init__(self, rows: int, seed: int, epoch: int) -> None:
        """Orders the blocks; rows are shuffled when they are asked for."""
        self._rows = rows
        self._seed = [seed, epoch]
        self._dtype = np.int32 if rows < 2**31 else np.int64
        self._block = rows if rows <= _WINDOW else _BLOCK
        blocks = -(-rows // self._block)
        order = np.random.default_rng(self._seed).permutation(blocks)
        self._windows = np.split(order, range(_WINDOW // _BLOCK, blocks, _WINDOW // _BLOCK))
        sizes = [sum(len(self._rows_of_block(b)) for b in window) for window in self._windows]
        self._starts = np.cumsum([0, *sizes])
        self._shuffled_window = -1
        self._shuffled: Rows = np.empty(0, self._dtype)

    def rows(self, first: int, last: int) -> Rows:
        """The rows at the places from first up to, but without, last; int32 or int64."""
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
