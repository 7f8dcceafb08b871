import numpy as np
import pytest

from models.seen_movies import SeenMovies, newest, seen_movies


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 0, 2, 1, 3]])
def test_they_are_grouped_by_user_and_the_unknown_user_has_none(order: list[int]) -> None:
    ratings = {
        "user_index": np.array([0, 0, 2, 2, 3], np.int32)[order],
        "movie_index": np.array([1, 4, 3, 5, 0], np.int32)[order],
        "rating": np.array([2, 5, 4, 1, 3], np.float32)[order],
    }
    seen = seen_movies(ratings, users=3)
    rows = [
        seen.movie_index[start:end].tolist()
        for start, end in zip(seen.row_splits[:-1], seen.row_splits[1:], strict=True)
    ]
    assert rows == [[1, 4], [], [3, 5], []]
    assert seen.rating.tolist() == [2, 5, 4, 1]


def rows_of(seen: SeenMovies) -> list[set[tuple[int, float]]]:
    pairs = list(zip(seen.movie_index.tolist(), seen.rating.tolist(), strict=True))
    return [
        set(pairs[start:end])
        for start, end in zip(seen.row_splits[:-1], seen.row_splits[1:], strict=True)
    ]


RATED = {
    "user_index": np.array([0, 0, 0, 1, 1, 3, 3, 3, 3], np.int32),
    "movie_index": np.array([0, 1, 2, 0, 4, 1, 2, 3, 4], np.int32),
    "rating": np.array([1, 2, 3, 4, 5, 1.5, 2.5, 3.5, 4.5], np.float32),
    "rated_at": np.array([9, 7, 8, 1, 2, 5, 5, 5, 6], np.int32),
}
PAIRS = zip(RATED["user_index"].tolist(), RATED["movie_index"].tolist(), strict=True)
STARS = dict(zip(PAIRS, RATED["rating"].tolist(), strict=True))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, [{0}, {4}, set(), {4}, set()]),
        # Of ratings of one minute the lower index goes first.
        (2, [{0, 2}, {0, 4}, set(), {1, 4}, set()]),
        (3, [{0, 1, 2}, {0, 4}, set(), {1, 2, 4}, set()]),
        (4, [{0, 1, 2}, {0, 4}, set(), {1, 2, 3, 4}, set()]),
    ],
)
def test_the_newest_are_kept(limit: int, expected: list[set[int]]) -> None:
    seen = seen_movies(RATED, users=4)
    in_two = [
        {name: values[rows] for name, values in RATED.items()}
        for rows in ([8, 0, 6, 2, 4], [1, 3, 5, 7])
    ]
    rows = [
        {(movie, STARS[user, movie]) for movie in movies} for user, movies in enumerate(expected)
    ]
    assert rows_of(newest(seen, limit, in_two)) == rows


def test_the_times_are_not_read_where_nobody_has_more() -> None:
    seen = seen_movies(RATED, users=4)

    def unreadable():
        raise AssertionError
        yield

    assert newest(seen, 4, unreadable()) is seen
