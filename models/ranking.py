"""Ranking: ranks of liked movies among all unrated ones, Recall@10 and NDCG@10.

NDCG follows Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with
binary relevance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf

# Number of movies that a user is shown.
CUTOFF: Final = 10
# Rank of a movie that is never shown.
NEVER: Final = 2**31 - 1
# Multiple of columns in a matrix product: instructions for the remainder round differently.
_COLUMNS: Final = 64


@dataclass(frozen=True)
class RankingFigures:
    """Means over the users who like at least one movie.

    Attributes:
        users: Number of these users.
        ndcg: NDCG@10.
        ndcg_error: Standard error of NDCG@10, with users as the sample; NaN for one user.
        recall: Recall@10, the share of a user's liked movies that rank among the first ten.
    """

    users: int
    ndcg: float
    ndcg_error: float
    recall: float


def dot_products(queries: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Returns the dot product of each query with each vector.

    Products with equal vectors are equal to the last bit.

    Args:
        queries: float32 `[B, d]`.
        vectors: float32 `[n, d]`.

    Returns:
        float32 `[B, n]`.
    """
    count = tf.shape(vectors)[0]
    whole = tf.pad(vectors, [[0, -count % _COLUMNS], [0, 0]])
    return tf.matmul(queries, whole, transpose_b=True)[:, :count]


def without_seen(scores: tf.Tensor, seen: tf.RaggedTensor) -> tf.Tensor:
    """Returns scores with −inf for the movies that each user rated in training.

    Args:
        scores: float32 `[B, movies]`.
        seen: Indices of these movies, int32 `[B, (seen)]`.
    """
    return without(scores, seen.value_rowids(), seen.values)


def without(scores: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Returns scores with −inf at n positions.

    Args:
        scores: float32 `[B, movies]`.
        rows: Rows of the positions, int `[n]`.
        columns: Columns of the positions, int32 `[n]`.
    """
    positions = tf.stack([tf.cast(rows, tf.int32), columns], axis=1)
    minus_infinity = tf.fill([tf.shape(positions)[0]], -np.inf)
    return tf.tensor_scatter_nd_update(scores, positions, minus_infinity)


def rank_of(scores: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
    """Returns the rank, from 1, of one movie in each row, in the order of `tf.math.top_k`.

    Args:
        scores: float32 `[B, movies]`; the lower index wins a tie.
        movie_index: Movie of each row, int `[B]`.

    Returns:
        int32 `[B]`; `NEVER` for a movie outside the catalogue or with score −inf.
    """
    movies = tf.shape(scores)[1]
    index = tf.cast(movie_index, tf.int32)[:, tf.newaxis]
    own = tf.gather(scores, tf.minimum(index, movies - 1), batch_dims=1)
    earlier = tf.range(movies)[tf.newaxis] < index
    ahead = (scores > own) | ((scores == own) & earlier)
    rank = 1 + tf.math.count_nonzero(ahead, axis=1, dtype=tf.int32)
    can_be_shown = (index < movies) & tf.math.is_finite(own)
    return tf.where(tf.squeeze(can_be_shown, axis=1), rank, NEVER)


def ranking_figures(
    users: np.ndarray[Any, np.dtype[Any]],
    ranks: np.ndarray[Any, np.dtype[Any]],
    cutoff: int = CUTOFF,
) -> RankingFigures:
    """Returns the figures of n liked movies, NaN if there are none.

    Args:
        users: User who likes each movie, `[n]`, any sortable dtype.
        ranks: Rank of each movie for its user, from 1, among the movies that the user did not
            rate in training, int `[n]`.
        cutoff: Number of first ranks that count.
    """
    ndcg, recall = figures_by_user(users, ranks, cutoff)
    if not len(ndcg):
        return RankingFigures(0, np.nan, np.nan, np.nan)
    users_enough = len(ndcg) > 1
    return RankingFigures(
        users=len(ndcg),
        ndcg=float(ndcg.mean()),
        ndcg_error=float(ndcg.std(ddof=1) / np.sqrt(len(ndcg))) if users_enough else np.nan,
        recall=float(recall.mean()),
    )


def figures_by_user(
    users: np.ndarray[Any, np.dtype[Any]],
    ranks: np.ndarray[Any, np.dtype[Any]],
    cutoff: int = CUTOFF,
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Returns NDCG and Recall of each user, float64 `[users]` each, in order of the users.

    Args:
        users: User who likes each movie, `[n]`, any sortable dtype.
        ranks: Rank of each movie for its user, from 1, int `[n]`.
        cutoff: Number of first ranks that count.
    """
    _, user, liked = np.unique(users, return_inverse=True, return_counts=True)
    discounts = 1 / np.log2(np.arange(2, cutoff + 2))
    shown = ranks <= cutoff
    gain = np.where(shown, discounts[np.minimum(ranks, cutoff) - 1], 0.0)
    ideal = np.cumsum(discounts)[np.minimum(liked, cutoff) - 1]
    by_user = len(liked)
    return np.bincount(user, gain, by_user) / ideal, np.bincount(user, shown, by_user) / liked
