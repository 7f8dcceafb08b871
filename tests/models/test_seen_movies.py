import numpy as np
import pytest

from models.seen_movies import seen_movies


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 0, 2, 1, 3]])
def test_they_are_grouped_by_user_and_the_unknown_user_has_none(order: list[int]) -> None:
    ratings = {
        "user_index": np.array([0, 0, 2, 2, 3], np.int32)[order],
        "movie_index": np.array([1, 4, 3, 5, 0], np.int32)[order],
    }
    seen = seen_movies(ratings, users=3)
    rows = [
        seen.movie_index[start:end].tolist()
        for start, end in zip(seen.row_splits[:-1], seen.row_splits[1:], strict=True)
    ]
    assert rows == [[1, 4], [], [3, 5], []]
