"""What the contenders that train a model of this project share."""

from __future__ import annotations

from benchmarks.contenders.measuring import Arrays, Measured, mae, rmse
from models.columns import Columns
from models.rating_statistics import RatingStatistics, measure
from models.registry import RatingModel


def statistics_of(ratings: Columns) -> RatingStatistics:
    """Of ratings whose highest indices say how many users and movies there are."""
    return measure(
        ratings,
        users=int(ratings["user_index"].max()) + 1,
        movies=int(ratings["movie_index"].max()) + 1,
        rating_mean=float(ratings["rating"].mean()),
    )


def test(
    model: RatingModel, statistics: RatingStatistics, given: Arrays, measured: Measured
) -> None:
    """Fills in the errors on the test ratings; whoever was not trained on is unknown."""
    users = given["test_user_index"].clip(max=statistics.users)
    movies = given["test_movie_index"].clip(max=statistics.movies)
    predicted = model.predict_rating(users, movies).numpy()
    measured.test_rmse = rmse(predicted, given["test_rating"])
    measured.test_mae = mae(predicted, given["test_rating"])
