import numpy as np

from pipeline.sample_user import sample_user, typical_user
from serving.answers import Recommendation


class Fixed:
    """Recommends one movie, whoever asks."""

    def recommend(self, user_id: str, k: int) -> list[Recommendation]:
        return [Recommendation(f"for {user_id}", "Title", 4.5)][:k]


def ratings(users: str) -> dict[str, np.ndarray]:
    count = len(users)
    return {
        "user_id": np.array([user.encode() for user in users], object),
        "movie_id": np.array([f"m{row}".encode() for row in range(count)], object),
        "movie_title": np.array([f"Movie {row}".encode() for row in range(count)], object),
        "rating": np.array([row % 5 + 1 for row in range(count)], np.float32),
    }


def test_the_typical_user_has_the_median_number_of_ratings() -> None:
    # a: 1, b: 3, c: 2.
    assert typical_user(ratings("abbbcc")) == "c"


def test_of_users_with_as_many_ratings_the_first_by_id_is_typical() -> None:
    assert typical_user(ratings("cba")) == "b"


def test_the_highest_ratings_come_first_and_no_more_than_asked_for() -> None:
    # Ratings of a: m0 1, m2 3, m4 5, m5 1.
    shown = sample_user(Fixed(), ratings("abaxaa"), "a", 2)
    assert [movie.movie_id for movie in shown.rated_highest] == ["m4", "m2"]
    assert [movie.movie_id for movie in shown.recommended] == ["for a"]
