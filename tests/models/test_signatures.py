import numpy as np

from models.signatures import seen_movies


def test_seen_movies_are_grouped_by_user_and_the_unknown_user_has_none() -> None:
    ratings = {
        "user_index": np.array([0, 0, 2, 2, 3], np.int32),
        "movie_index": np.array([1, 4, 3, 5, 0], np.int32),
    }
    seen = seen_movies(ratings, users=3)
    rows = [
        seen.movie_index[start:end].tolist()
        for start, end in zip(seen.row_splits[:-1], seen.row_splits[1:], strict=True)
    ]
    assert rows == [[1, 4], [], [3, 5], []]
