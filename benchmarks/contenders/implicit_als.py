"""implicit's alternating least squares on liked movies, on one thread."""

from __future__ import annotations

from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from benchmarks.contenders.measuring import Measured, arrays, settings
from benchmarks.contenders.ranking import liked_matrix, rank


def main() -> None:
    """Trains and prints the result. Settings: `als`, the arguments of the algorithm."""
    chosen, measured, given = settings(), Measured(), arrays()
    model = AlternatingLeastSquares(**chosen["als"], num_threads=1, random_state=1)
    with measured.timed("train"):
        model.fit(csr_matrix(liked_matrix(given)), show_progress=False)
    rank(model.user_factors @ model.item_factors.T, given, measured)
    measured.print()


if __name__ == "__main__":
    main()
