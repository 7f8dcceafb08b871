"""Cornac's MF: stochastic gradient descent in C++, one rating at a time, on one thread."""

from __future__ import annotations

from cornac.data import Dataset
from cornac.models import MF

from benchmarks.contenders.measuring import Measured, arrays, settings


def main() -> None:
    """Settings: `mf`, what MF takes."""
    chosen, measured, given = settings(), Measured(), arrays()
    with measured.timed("read"):
        columns = (given[name].tolist() for name in ("user_index", "movie_index", "rating"))
        train = Dataset.from_uir(zip(*columns, strict=True))
    model = MF(seed=1, num_threads=1, verbose=False, **chosen["mf"])
    with measured.timed("train"):
        model.fit(train)
    measured.ratings = train.num_ratings * chosen["mf"]["max_iter"]
    measured.print()


if __name__ == "__main__":
    main()
