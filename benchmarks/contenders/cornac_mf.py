"""Cornac's MF: stochastic gradient descent in C++, one rating at a time, on one thread."""

from __future__ import annotations

import numpy as np
from cornac.data import Dataset
from cornac.models import MF

from benchmarks.contenders.measuring import Measured, arrays, settings


def main() -> None:
    """Trains and prints the result. Settings: `mf`, the arguments of `MF`."""
    chosen, measured, given = settings(), Measured(), arrays()
    with measured.timed("read"):
        columns = (given[name].tolist() for name in ("user_index", "movie_index", "rating"))
        train = Dataset.from_uir(zip(*columns, strict=True))
    model = MF(seed=1, num_threads=1, verbose=False, **chosen["mf"])
    with measured.timed("train"):
        model.fit(train)
    measured.ratings = train.num_ratings * chosen["mf"]["max_iter"]
    if "test_rating" in given:
        users, movies = train.uid_map, train.iid_map
        pairs = zip(given["test_user_index"], given["test_movie_index"], strict=True)
        known = [(users.get(int(user), -1), movies.get(int(movie), -1)) for user, movie in pairs]
        predicted = np.array([_predict(model, user, movie) for user, movie in known])
        measured.set_errors(predicted, given)
    measured.print()


def _predict(model: MF, user: int, movie: int) -> float:
    """Returns the predicted rating; an unknown user or movie, −1, adds nothing to the mean."""
    rating: float = model.global_mean
    rating += model.u_biases[user] if user >= 0 else 0.0
    rating += model.i_biases[movie] if movie >= 0 else 0.0
    if user >= 0 and movie >= 0:
        rating += float(model.u_factors[user] @ model.i_factors[movie])
    return rating


if __name__ == "__main__":
    main()
