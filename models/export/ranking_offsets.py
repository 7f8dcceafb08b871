"""What the ranking of a model adds to its predicted ratings: `ExportOptions.rank_by` as tables."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.contracts import RankingModel, predicts_ratings
from models.layers.rating_heads import NormalRating
from models.options import ExportOptions, ModelOptions
from models.rating_statistics import RatingStatistics

Array = np.ndarray[Any, np.dtype[np.float32]]


class RankingOffsets(NamedTuple):
    """The score of a movie for a user is the rating plus the user's factor times the offset.

    Attributes:
        of_movies: Offset of each movie in stars, float32 `[movies]`.
        factors: Factor of each user, float32 `[users + 1]`; the last is that of a user whom the
            model does not know.
    """

    of_movies: Array
    factors: Array


def ranking_offsets(
    model: RankingModel,
    options: ModelOptions,
    export: ExportOptions,
    statistics: RatingStatistics,
) -> RankingOffsets | None:
    """Returns the offsets of a model; None where `recommend` ranks by the model's scores alone.

    With the weight w, a movie that n_i training ratings have gets

    - `popularity_blend`: r + w sd ln(1 + n_i), with the standard deviation of these ratings.
    - `lower_bound`: r − w √(s_u t_i), with the variances of `NormalRating`.

    Args:
        model: Trained model.
        options: Options of the model.
        export: Options of its export.
        statistics: Statistics of the ratings that it was trained on.

    Raises:
        ValueError: The model has no lower bound.
    """
    export.check_model(options)
    if options.retrieves or export.rank_by == "rating":
        return None
    if export.rank_by == "popularity_blend":
        logarithms = np.log1p(statistics.movie_rating_count)
        return RankingOffsets(
            (export.rank_weight * statistics.rating_stddev * logarithms).astype(np.float32),
            np.ones(statistics.users + 1, np.float32),
        )
    assert predicts_ratings(model)
    head = model.rating_head()
    assert isinstance(head, NormalRating)
    user, movie = (
        np.sqrt(table.numpy()[:, 0]) for table in (head.user_variance, head.movie_variance)
    )
    return RankingOffsets(-np.float32(export.rank_weight) * movie[:-1], user)
