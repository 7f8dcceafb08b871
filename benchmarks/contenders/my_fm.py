"""myFM's Gibbs sampler: a factorisation machine that knows who rated what, on one thread."""

from __future__ import annotations

import numpy as np
from myfm import MyFMRegressor, RelationBlock
from scipy import sparse

from benchmarks.contenders.measuring import Arrays, Measured, arrays, settings

_SIDES = ("user_index", "movie_index")


def main() -> None:
    """Trains and prints the result.

    A rating has four groups of variables: its user, the set of movies that the user rated, its
    movie, and the set of users who rated it. A set of n has 1/√n for each.

    Settings: `fm`, the arguments of `MyFMRegressor`; `fit`, those of its `fit`.
    """
    chosen, measured, given = settings(), Measured(), arrays()
    with measured.timed("read"):
        blocks = implicit_sets(given)
    # A user or movie without training ratings has its own variable, which is drawn from the prior.
    users, movies = _sizes(given)
    machine = MyFMRegressor(random_seed=1, **chosen["fm"])
    with measured.timed("train"):
        machine.fit(
            sparse.csr_matrix((len(given["rating"]), 0)),
            given["rating"].astype(np.float64),
            X_rel=_relations(given, blocks),
            group_shapes=[users, movies, movies, users],
            **chosen["fit"],
        )
    measured.ratings = len(given["rating"]) * chosen["fit"]["n_iter"]
    if "test_rating" in given:
        predicted = machine.predict(None, _relations(given, blocks, "test_"), n_workers=1)
        measured.set_errors(predicted, given)
    measured.print()


def implicit_sets(given: Arrays) -> list[sparse.csr_matrix]:
    """Returns the variables of each user, and of each movie, one-hot and as a set over √n.

    Args:
        given: Training ratings, and test ratings if any, whose users and movies have a row too.

    Returns:
        float64 `[users, users + movies]` and `[movies, movies + users]`.
    """
    users, movies = _sizes(given)
    pairs = given["user_index"], given["movie_index"]
    rated = sparse.csr_matrix((np.ones(len(pairs[0])), pairs), shape=(users, movies))
    # A movie that is rated twice counts once.
    rated.data[:] = 1
    blocks = []
    for sets in (rated, rated.T.tocsr()):
        counts = np.maximum(np.asarray(sets.sum(axis=1)).ravel(), 1)
        scaled = sparse.diags(1 / np.sqrt(counts)) @ sets
        blocks.append(sparse.hstack([sparse.eye(sets.shape[0]), scaled]).tocsr())
    return blocks


def _sizes(given: Arrays) -> tuple[int, int]:
    """Returns the number of users and of movies, in training and test together."""
    highest = (
        max(int(values.max()) for name, values in given.items() if name.endswith(side))
        for side in _SIDES
    )
    users, movies = (1 + index for index in highest)
    return users, movies


def _relations(
    given: Arrays, blocks: list[sparse.csr_matrix], prefix: str = ""
) -> list[RelationBlock]:
    """Returns which row of each block each rating has."""
    return [
        RelationBlock(given[prefix + side].tolist(), block)
        for side, block in zip(_SIDES, blocks, strict=True)
    ]


if __name__ == "__main__":
    main()
