"""Weights of several models' scores, chosen by NDCG@10."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns
from models.ranking import CUTOFF, without_seen
from models.seen_movies import SeenMovies
from models.training.metrics import liked_pairs, of_even_users

Floats = np.ndarray[Any, np.dtype[np.float64]]

# A movie that no part ranks among so many is not among the ten best of their sum.
_CANDIDATES: Final = 100
_USERS_AT_ONCE: Final = 512
_MOST_USERS: Final = 20_000
# In units of a standard deviation of each part's scores.
_WEIGHTS: Final = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0)
_ROUNDS: Final = 4


@dataclass(frozen=True)
class _Candidates:
    """The movies that may be shown to each user.

    Attributes:
        scores: Scores by the parts, float64 `[users, candidates, parts]`; −inf for no movie.
        liked: Whether the user likes the movie, bool `[users, candidates]`.
        ideal: Highest discounted gain there is, float64 `[users]`.
    """

    scores: Floats
    liked: np.ndarray[Any, np.dtype[np.bool_]]
    ideal: Floats


def choose_weights(
    parts: Sequence[tuple[tf.Tensor, tf.Tensor]],
    seen: SeenMovies,
    hidden: Columns,
    liked_rating: float,
) -> Floats:
    """Returns the weight of each part, float64 `[parts]`: those with the highest NDCG@10 found.

    Coordinate ascent over a grid: the weights of a part are tried while the others stay. Without
    hidden ratings that are liked, each part's scores get equal spread.

    Args:
        parts: Vectors of users `[users + 1, d]` and of movies `[movies + 1, d]` of each part.
        seen: Movies to leave out for each user.
        hidden: `user_index`, `movie_index` and `rating` that the parts were not trained on, `[n]`.
        liked_rating: Lowest rating of a liked movie.
    """
    candidates = _candidates(parts, seen, liked_pairs(hidden, liked_rating))
    spread = _spread(candidates.scores)
    scaled = _Candidates(candidates.scores / spread, candidates.liked, candidates.ideal)
    weights = np.ones(len(parts))
    best = _ndcg(scaled, weights)
    for _ in range(_ROUNDS):
        before = best
        for place in range(len(parts)):
            for weight in _WEIGHTS:
                tried = weights.copy()
                tried[place] = weight
                figure = _ndcg(scaled, tried) if tried.any() else -1.0
                if figure > best:
                    best, weights = figure, tried
        if best == before:
            break
    return weights / spread


def _candidates(
    parts: Sequence[tuple[tf.Tensor, tf.Tensor]], seen: SeenMovies, liked: Columns
) -> _Candidates:
    liked = of_even_users(liked, _MOST_USERS)
    users = np.unique(liked[features.USER_INDEX])
    blocks = [
        _block(parts, seen, liked, users[start : start + _USERS_AT_ONCE])
        for start in range(0, max(1, len(users)), _USERS_AT_ONCE)
    ]
    return _Candidates(
        *(
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("scores", "liked", "ideal")
        )
    )


def _block(
    parts: Sequence[tuple[tf.Tensor, tf.Tensor]],
    seen: SeenMovies,
    liked: Columns,
    users: np.ndarray[Any, np.dtype[Any]],
) -> _Candidates:
    own = tf.gather(seen.as_ragged(), users)
    scores = [
        without_seen(tf.matmul(tf.gather(table, users), movies[:-1], transpose_b=True), own)
        for table, movies in parts
    ]
    count = min(_CANDIDATES, scores[0].shape[1])
    shown = np.sort(
        np.concatenate([tf.math.top_k(score, count).indices.numpy() for score in scores], axis=1)
    )
    stacked = np.stack(
        [np.take_along_axis(score.numpy(), shown, axis=1) for score in scores], axis=-1
    ).astype(np.float64)
    stacked[:, 1:][shown[:, 1:] == shown[:, :-1]] = -np.inf
    is_liked = np.zeros(scores[0].shape, bool)
    row = np.searchsorted(users, liked[features.USER_INDEX])
    inside = np.isin(liked[features.USER_INDEX], users)
    is_liked[row[inside], liked[features.MOVIE_INDEX][inside]] = True
    sums = np.concatenate([[0.0], np.cumsum(_discounts())])
    return _Candidates(
        stacked,
        np.take_along_axis(is_liked, shown, axis=1),
        sums[np.minimum(is_liked.sum(axis=1), CUTOFF)],
    )


def _spread(scores: Floats) -> Floats:
    """Returns the standard deviation of each part's scores around each user's mean, `[parts]`."""
    known = np.where(np.isfinite(scores), scores, np.nan)
    if not np.isfinite(known).any():
        return np.ones(scores.shape[-1])
    deviation = np.sqrt(np.nanmean((known - np.nanmean(known, axis=1, keepdims=True)) ** 2, (0, 1)))
    return np.where(deviation > 0, deviation, 1.0)


def _ndcg(candidates: _Candidates, weights: Floats) -> float:
    """Returns NDCG@10 of the weighted sum, 0 without users."""
    if not len(candidates.ideal):
        return 0.0
    # 0 · −inf is no number.
    usable = np.isfinite(candidates.scores[..., 0])
    scores = np.where(usable[..., np.newaxis], candidates.scores, 0)
    sums = np.where(usable, scores @ weights, -np.inf)
    order = np.argsort(-sums, axis=1, kind="stable")[:, :CUTOFF]
    hits = np.take_along_axis(candidates.liked & usable, order, axis=1)
    return float(np.mean(hits @ _discounts()[: hits.shape[1]] / candidates.ideal))


def _discounts() -> Floats:
    discounts: Floats = 1 / np.log2(np.arange(2, CUTOFF + 2))
    return discounts
