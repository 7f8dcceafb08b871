"""Surprise's SVD and SVD++: stochastic gradient descent in Cython, one rating at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from surprise import SVD, Dataset, Reader, SVDpp

from benchmarks.contenders.measuring import Measured, arrays, settings


def main() -> None:
    """Trains and prints the result.

    Settings: `svd`, the arguments of the algorithm; `implicit`, true for SVD++.
    """
    chosen, measured, given = settings(), Measured(), arrays()
    with measured.timed("read"):
        frame = pd.DataFrame(
            {name: given[name] for name in ("user_index", "movie_index", "rating")}
        )
        scale = float(given["rating"].min()), float(given["rating"].max())
        train = Dataset.load_from_df(frame, Reader(rating_scale=scale)).build_full_trainset()
    algorithm = SVDpp if chosen.get("implicit") else SVD
    svd = algorithm(random_state=1, **chosen["svd"])
    with measured.timed("train"):
        svd.fit(train)
    measured.ratings = train.n_ratings * chosen["svd"]["n_epochs"]
    if "test_rating" in given:
        pairs = zip(given["test_user_index"], given["test_movie_index"], strict=True)
        predicted = np.array([svd.predict(user, movie).est for user, movie in pairs])
        measured.set_errors(predicted, given)
    measured.print()


if __name__ == "__main__":
    main()
