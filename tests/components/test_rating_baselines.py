import numpy as np

from components import rating_baselines as baselines


def test_biases_follow_the_alternating_ridge_definition(rng: np.random.Generator) -> None:
    users, movies = rng.integers(0, 9, 120), rng.integers(0, 7, 120)
    stars = rng.integers(1, 6, 120).astype(np.float32)
    found = baselines.fit_biases(
        {"user_index": users, "movie_index": movies, "rating": stars}, users=10, movies=8
    )

    mean = stars.mean(dtype=np.float64)
    user_bias, movie_bias = np.zeros(10), np.zeros(8)
    for _ in range(10):
        for movie in range(8):
            mine = movies == movie
            rest = stars[mine] - mean - user_bias[users[mine]]
            movie_bias[movie] = rest.sum() / (10 + mine.sum())
        for user in range(10):
            mine = users == user
            rest = stars[mine] - mean - movie_bias[movies[mine]]
            user_bias[user] = rest.sum() / (15 + mine.sum())

    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.user, user_bias, atol=1e-9)
    np.testing.assert_allclose(found.movie, movie_bias, atol=1e-9)
    assert found.user[9] == found.movie[7] == 0


def test_rmse() -> None:
    ratings = {"rating": np.array([1.0, 5.0], np.float32)}
    assert baselines.rmse(np.array([2.0, 2.0]), ratings) == np.sqrt((1 + 9) / 2)
    assert baselines.rmse(3.0, ratings) == 2.0
