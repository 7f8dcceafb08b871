"""Where what somebody likes ranks among all movies that they have not rated, and what it is worth.

Recall@10 and NDCG@10 as Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques"
(2002), define the latter, for relevance that is yes or no.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf

# How many movies a user is shown.
CUTOFF: Final = 10
# The place of what is never shown.
NEVER: Final = 2**31 - 1
# Columns are multiplied so many at a time: the instructions for fewer round otherwise.
_COLUMNS: Final = 64


@dataclass(frozen=True)
class RankingFigures:
    """Means over the users who like at least one of the movies that were held back.

    Attributes:
        users: how many those are.
        ndcg: NDCG@10.
        recall: Recall@10, the share of a user's liked movies that is among the first ten.
    """

    users: int
    ndcg: float
    recall: float


def dot_products(queries: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Of each query with each vector; those with equal vectors are equal, to the last bit.

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
    """The scores with −inf for what each user rated in training.

    Args:
        scores: float32 `[B, movies]`.
        seen: the movies' indices, int32 `[B, (seen)]`.
    """
    return without(scores, seen.value_rowids(), seen.values)


def without(scores: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """The scores with −inf at some places.

    Args:
        scores: float32 `[B, movies]`.
        rows: int `[n]`.
        columns: int32 `[n]`.
    """
    places = tf.stack([tf.cast(rows, tf.int32), columns], axis=1)
    return tf.tensor_scatter_nd_update(scores, places, tf.fill([tf.shape(places)[0]], -np.inf))


def rank_of(scores: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
    """The place, from 1, of one movie a row in the order of `tf.math.top_k`.

    Args:
        scores: float32 `[B, movies]`; of equal ones the lower index comes first.
        movie_index: int `[B]`.

    Returns:
        int32 `[B]`; `NEVER` for a movie that is outside the catalogue or whose score is −inf.
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
    """The figures of liked movies; not a number where there is none.

    Args:
        users: who likes each, `[n]`, of any type that can be sorted.
        ranks: its place among the movies that they have not rated in training, from 1, `[n]`.
        cutoff: how many of the first places count.
    """
    _, user, liked = np.unique(users, return_inverse=True, return_counts=True)
    if not len(liked):
        return RankingFigures(0, np.nan, np.nan)
    discounts = 1 / np.log2(np.arange(2, cutoff + 2))
    shown = ranks <= cutoff
    gain = np.where(shown, discounts[np.minimum(ranks, cutoff) - 1], 0.0)
    ideal = np.cumsum(discounts)[np.minimum(liked, cutoff) - 1]
    return RankingFigures(
        users=len(liked),
        ndcg=float(np.mean(np.bincount(user, gain) / ideal)),
        recall=float(np.mean(np.bincount(user, shown) / liked)),
    )
