"""Ranking metrics, shared by contenders.

They come from sorting the whole catalogue in NumPy, without any code of this project's models.
"""

from __future__ import annotations

import numpy as np

from benchmarks.contenders.measuring import Arrays, Matrix, Measured

LIKED = 4.0
_SHOWN = 10


def movie_count(given: Arrays) -> int:
    """Returns the number of movies in training and test together."""
    return 1 + int(max(given["movie_index"].max(), given["test_movie_index"].max()))


def liked_matrix(given: Arrays) -> Matrix:
    """Returns 1 where a user liked a movie in training, else 0: float64 `[users, movies]`."""
    matrix = np.zeros((int(given["user_index"].max()) + 1, movie_count(given)))
    liked = given["rating"] >= LIKED
    matrix[given["user_index"][liked], given["movie_index"][liked]] = 1
    return matrix


def rank(scores: Matrix, given: Arrays, measured: Measured) -> None:
    """Sets the ranking metrics: means over the users who like a movie of the test ratings.

    Movies that the user rated in training are left out, whatever the rating. All others are ranked.
    Of equal scores, the lower index comes first.

    Args:
        scores: float64 `[users, movies]`.
        given: Training and test ratings.
        measured: Result in which `ndcg_at_10`, `recall_at_10` and `recall_at_20` are set.
    """
    scores = scores.astype(np.float64)
    scores[given["user_index"], given["movie_index"]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    is_liked = np.zeros(scores.shape, bool)
    liked = given["test_rating"] >= LIKED
    is_liked[given["test_user_index"][liked], given["test_movie_index"][liked]] = True
    judged = is_liked.any(axis=1)
    hits = np.take_along_axis(is_liked, order, axis=1)[judged]
    relevant = hits.sum(axis=1)

    discounts = 1 / np.log2(np.arange(2, _SHOWN + 2))
    ideal = np.cumsum(discounts)[np.minimum(relevant, _SHOWN) - 1]
    measured.ndcg_at_10 = float(np.mean(hits[:, :_SHOWN] @ discounts / ideal))
    measured.recall_at_10, measured.recall_at_20 = (
        float(np.mean(hits[:, :shown].sum(axis=1) / relevant)) for shown in (_SHOWN, 2 * _SHOWN)
    )
