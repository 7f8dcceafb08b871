import hashlib

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from components.errors import DataError
from components.movielens_example_gen import splits
from components.movielens_example_gen.options import SplitOptions

MASK = 2**64 - 1


def table(users: list[int], movies: list[int], timestamps: list[int] | None = None) -> pa.Table:
    return pa.table(
        {
            "row": pa.array(range(len(users)), pa.int64()),
            "user_id": [str(user) for user in users],
            "movie_id": [str(movie) for movie in movies],
            "timestamp": pa.array(timestamps or [0] * len(users), pa.int64()),
        }
    )


def position(user: str, movie: str, seed: int) -> float:
    """The definition, in Python's own integers."""

    def digest(value: str, kind: bytes) -> int:
        key = seed.to_bytes(8, "little")
        hashed = hashlib.blake2b(value.encode(), digest_size=8, key=key, person=kind)
        return int.from_bytes(hashed.digest(), "little")

    mixed = digest(user, b"user") ^ (digest(movie, b"movie") * 0x9E3779B97F4A7C15 & MASK)
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & MASK
    return ((mixed ^ (mixed >> 31)) >> 11) / 2**53


def test_hash_positions_follow_their_definition() -> None:
    ratings = table([1, 1, 2, 943], [1, 2, 1, 1682])
    expected = [
        position(user, movie, 42)
        for user, movie in zip(
            ratings["user_id"].to_pylist(), ratings["movie_id"].to_pylist(), strict=True
        )
    ]
    assert splits.hash_positions(ratings, 42).tolist() == expected


def test_a_rating_keeps_its_split_when_others_come_and_go() -> None:
    users, movies = np.divmod(np.arange(3000), 50)
    options = SplitOptions()
    everything = splits.assign(table(users.tolist(), movies.tolist()), 3000, options)
    half = splits.assign(table(users[::2].tolist(), movies[::2].tolist()), 1500, options)
    np.testing.assert_array_equal(everything[::2], half)


def test_hash_fractions_are_near_what_was_asked() -> None:
    users, movies = np.divmod(np.arange(40_000), 200)
    options = SplitOptions(eval_fraction=0.1, holdout_fraction=0.2)
    codes = splits.assign(table(users.tolist(), movies.tolist()), 40_000, options)
    counts = np.bincount(codes) / len(codes)
    # Four standard deviations of a binomial draw of 40,000 are below 0.01.
    np.testing.assert_allclose(counts, [0.7, 0.1, 0.2], atol=0.01)


def test_another_seed_is_another_split() -> None:
    users, movies = np.divmod(np.arange(2000), 50)
    ratings = table(users.tolist(), movies.tolist())
    one = splits.assign(ratings, 2000, SplitOptions(seed=1))
    two = splits.assign(ratings, 2000, SplitOptions(seed=2))
    assert (one != two).mean() > 0.2


def test_time_split_never_lets_a_split_see_its_future(rng: np.random.Generator) -> None:
    timestamps = rng.integers(0, 50, 1000)
    ratings = table([1] * 1000, list(range(1000)), timestamps.tolist())
    codes = splits.assign(ratings, 1000, SplitOptions(method="time"))
    train, evaluation, holdout = (timestamps[codes == code] for code in range(3))
    assert train.max() < evaluation.min()
    assert evaluation.max() < holdout.min()
    assert len(holdout) >= 100


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_folds_are_blocks_of_rows_of_the_file(fold: int) -> None:
    users, movies = np.divmod(np.arange(100_000), 200)
    ratings = table(users.tolist(), movies.tolist()).filter(
        pa.array(np.arange(100_000) % 1000 != 7)
    )
    codes = splits.assign(ratings, 100_000, SplitOptions(method=f"fold:{fold}"))
    rows = ratings["row"].to_numpy()
    held_out = (rows >= (fold - 1) * 20_000) & (rows < fold * 20_000)
    np.testing.assert_array_equal(codes == splits.HOLDOUT, held_out)
    assert 0.09 < (codes[~held_out] == splits.EVAL).mean() < 0.11


def test_folds_are_for_the_edition_that_has_them() -> None:
    with pytest.raises(DataError, match="this data has 4"):
        splits.assign(table([1] * 4, [1, 2, 3, 4]), 4, SplitOptions(method="fold:1"))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="split is empty: 1 ratings are too few"):
        splits.assign(table([1], [1]), 1, SplitOptions())


@pytest.mark.parametrize("method", ["fold:0", "fold:6", "fold:", "random", ""])
def test_unknown_methods_are_refused(method: str) -> None:
    with pytest.raises(ValidationError, match="allowed: hash, time, fold:1 to fold:5"):
        SplitOptions(method=method)


def test_fractions_must_leave_something_to_train_on() -> None:
    with pytest.raises(ValidationError, match="must be below 1"):
        SplitOptions(eval_fraction=0.5, holdout_fraction=0.5)


def test_a_split_by_time_says_what_is_wrong_with_the_times() -> None:
    same = table([1] * 50, list(range(50)), [7] * 50)
    with pytest.raises(DataError, match=r"50 of 50 ratings have the same timestamp, 7"):
        splits.assign(same, 50, SplitOptions(method="time"))
    with pytest.raises(DataError, match="needs timestamps"):
        splits.require_times(False, SplitOptions(method="time"))
    splits.require_times(False, SplitOptions())
    splits.require_times(True, SplitOptions(method="time"))
