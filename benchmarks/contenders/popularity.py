"""Popularity: the movies that most users like, the same for every user."""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.measuring import Measured, arrays
from benchmarks.contenders.ranking import liked_matrix, rank


def main() -> None:
    """Ranks and prints the result. There are no settings."""
    measured, given = Measured(), arrays()
    with measured.timed("train"):
        liked = liked_matrix(given)
        scores = np.tile(liked.sum(axis=0), (len(liked), 1))
    rank(scores, given, measured)
    measured.print()


if __name__ == "__main__":
    main()
