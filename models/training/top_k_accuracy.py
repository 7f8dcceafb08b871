"""How often the movie that somebody liked is among the first that a model retrieves."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.columns import Columns, row_count
from models.contracts import RankingModel

_CUTOFFS = (1, 5, 10, 50, 100)
_PAIRS_PER_UPDATE = 4096


def top_k_accuracy(model: RankingModel, pairs: Columns) -> dict[str, float]:
    """TFRS's FactorizedTopK over the whole catalogue of the Transform step.

    Movies that the user rated in training compete too, as TFRS has it; the figures are lower than
    Recall@10 for that.

    Args:
        model: on one device.
        pairs: `user_index`, `movie_index`, `[n]`, of known users and movies.

    Returns:
        The accuracy by k, as far as the catalogue has k movies; empty without pairs.
    """
    movie_vectors = model.movie_vectors()[:-1]
    cutoffs = [k for k in _CUTOFFS if k <= len(movie_vectors)]
    index = tfrs.layers.factorized_top_k.BruteForce(k=max(cutoffs)).index(movie_vectors)
    metric = tfrs.metrics.FactorizedTopK(candidates=index, ks=cutoffs)
    user_vectors = model.user_vectors()
    for start in range(0, row_count(pairs), _PAIRS_PER_UPDATE):
        users, movies = (
            tf.constant(pairs[name][start : start + _PAIRS_PER_UPDATE])
            for name in (features.USER_INDEX, features.MOVIE_INDEX)
        )
        metric.update_state(
            tf.gather(user_vectors, users),
            tf.gather(movie_vectors, movies),
            true_candidate_ids=movies,
        )
    if not row_count(pairs):
        return {}
    return {str(k): float(value) for k, value in zip(cutoffs, metric.result(), strict=True)}
