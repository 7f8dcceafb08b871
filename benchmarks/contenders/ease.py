"""EASE in NumPy: a ridge regression of each movie on all others, in closed form.

Source: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), equation 8.
"""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.measuring import Measured, arrays, settings
from benchmarks.contenders.ranking import liked_matrix, rank


def main() -> None:
    """Trains and prints the result.

    Settings: `l2`, the weight on the diagonal; optionally `grades`, what a movie of one star, of
    two and so on counts. Without them, liked movies count one.
    """
    chosen, measured, given = settings(), Measured(), arrays()
    with measured.timed("train"):
        choices = liked_matrix(given)
        if "grades" in chosen:
            stars = given["rating"].astype(int)
            grades = np.array(chosen["grades"])[stars - 1]
            choices[given["user_index"], given["movie_index"]] = grades
        gram = choices.T @ choices
        inverse = np.linalg.inv(gram + chosen["l2"] * np.eye(len(gram)))
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        scores = choices @ weights
    rank(scores, given, measured)
    measured.print()


if __name__ == "__main__":
    main()
