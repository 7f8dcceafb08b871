"""Biased matrix factorisation in Numba, one rating at a time: how fast one core can be."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmarks.contenders.measuring import EpochClock, Measured, arrays, settings

Array = np.ndarray[Any, Any]


@numba.njit(fastmath=True)
def _epoch(
    order: Array,
    users: Array,
    movies: Array,
    ratings: Array,
    user_bias: Array,
    movie_bias: Array,
    user_vectors: Array,
    movie_vectors: Array,
    mean: np.float32,
    rate: np.float32,
    l2: np.float32,
) -> None:
    for row in order:
        user, movie = users[row], movies[row]
        p, q = user_vectors[user], movie_vectors[movie]
        error = ratings[row] - mean - user_bias[user] - movie_bias[movie]
        for k in range(p.shape[0]):
            error -= p[k] * q[k]
        user_bias[user] += rate * (error - l2 * user_bias[user])
        movie_bias[movie] += rate * (error - l2 * movie_bias[movie])
        for k in range(p.shape[0]):
            before = p[k]
            p[k] += rate * (error * q[k] - l2 * before)
            q[k] += rate * (error * before - l2 * q[k])


def main() -> None:
    """Trains and prints the result. Settings: `dimension`, `epochs`."""
    chosen, measured, given = settings(), Measured(), arrays()
    rng = np.random.default_rng(1)
    users, movies, ratings = (given[name] for name in ("user_index", "movie_index", "rating"))
    counts = int(users.max()) + 1, int(movies.max()) + 1
    biases = [np.zeros(count, np.float32) for count in counts]
    vectors = [
        rng.normal(0, 0.02, (count, chosen["dimension"])).astype(np.float32) for count in counts
    ]
    constants = [np.float32(value) for value in (ratings.mean(), 0.01, 0.05)]
    rows = np.arange(len(ratings), dtype=np.int32)
    with measured.timed("shuffle"):
        orders = [rng.permutation(rows) for _ in range(chosen["epochs"])]
    clock = EpochClock()
    for order in orders:
        _epoch(order, users, movies, ratings, *biases, *vectors, *constants)
        clock.epoch_ended()
    clock.write(measured)
    measured.ratings = len(ratings) * chosen["epochs"]
    measured.print()


if __name__ == "__main__":
    main()
