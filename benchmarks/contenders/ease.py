"""EASE in NumPy: a ridge regression of each movie on all others, in closed form.

Source: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), equation 8.
"""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.measuring import Measured, arrays, settings
from benchmarks.contenders.ranking import liked_matrix, rank


def main() -> None:
    """Trains and prints the result. Settings: `l2`, the weight on the diagonal."""
    chosen, measured, given = settings(), Measured(), arrays()
    with measured.timed("train"):
        liked = liked_matrix(given)
        inverse = np.linalg.inv(liked.T @ liked + chosen["l2"] * np.eye(liked.shape[1]))
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        scores = liked @ weights
    rank(scores, given, measured)
    measured.print()


if __name__ == "__main__":
    main()
