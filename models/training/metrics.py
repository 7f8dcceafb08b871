"""Metrics on the eval split, and the criterion of early stopping among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.columns import Columns, row_count
from models.contracts import RankingModel, RatingModel
from models.options import ModelOptions, TrainingOptions
from models.ranking import dot_products, rank_of, ranking_figures, without_seen
from models.rating_statistics import RatingStatistics
from models.seen_movies import SeenMovies
from models.training.devices import Processes

_PREDICTION_BATCH = 65_536
# Users whose scores of the whole catalogue are computed at a time.
_RANKING_BATCH = 512
_TOP_K_CUTOFFS = (1, 5, 10, 50, 100)
_TOP_K_BATCH = 4096

ModelT_contra = TypeVar("ModelT_contra", contravariant=True)


class Criterion(Protocol[ModelT_contra]):
    """A metric on the eval split that early stopping goes by.

    Attributes:
        name: Name for people, such as `NDCG@10`.
        key: Name for programs, such as `ndcg_at_10`.
        higher_is_better: Whether a higher figure is better.
    """

    name: str
    key: str
    higher_is_better: bool

    def evaluator(
        self, model: ModelT_contra, ratings: Columns, processes: Processes
    ) -> Callable[[], float]:
        """Returns a function that computes the metric for the current weights.

        Each process computes its part; all of them get the figure over all parts.

        Args:
            model: Model under the strategy that trains it.
            ratings: Eval ratings: `user_index`, `movie_index`, `rating`, `[n]`, at least one.
            processes: Processes that train together.

        Raises:
            ValueError: The metric is not defined on these ratings.
        """


class RootMeanSquaredError:
    """Root mean squared error of the predicted ratings, in stars."""

    name = "RMSE"
    key = "rmse"
    higher_is_better = False

    def evaluator(
        self, model: RatingModel, ratings: Columns, processes: Processes
    ) -> Callable[[], float]:
        """See `Criterion`."""
        rows = row_count(ratings)
        own = {name: values[processes.part_of(rows)] for name, values in ratings.items()}
        predict = _compile_prediction(model)
        return lambda: math.sqrt(processes.sum(_squared_error(predict, own)) / rows)


class NormalizedDiscountedCumulativeGain:
    """NDCG@10 of the liked movies among all that a user did not rate in training."""

    name = "NDCG@10"
    key = "ndcg_at_10"
    higher_is_better = True

    def __init__(
        self, seen: SeenMovies, liked_rating: float, ranked_users: int | None = None
    ) -> None:
        """Creates the criterion.

        Args:
            seen: Movies that each user rated in training.
            liked_rating: Lowest rating of a liked movie.
            ranked_users: Largest number of users whose movies are ranked; None ranks those of all.
        """
        self._seen = seen
        self._liked_rating = liked_rating
        self._ranked_users = ranked_users

    def evaluator(
        self, model: RankingModel, ratings: Columns, processes: Processes
    ) -> Callable[[], float]:
        """See `Criterion`."""
        liked = liked_pairs(ratings, self._liked_rating)
        if self._ranked_users is not None:
            liked = of_even_users(liked, self._ranked_users)
        users = np.unique(liked[features.USER_INDEX])
        if not len(users):
            raise ValueError(
                f"no rating of the eval split is {self._liked_rating:g} or more: "
                "lower model.liked_rating"
            )
        own_users = users[processes.part_of(len(users))]
        is_own = np.isin(liked[features.USER_INDEX], own_users)
        own = {name: values[is_own] for name, values in liked.items()}
        vectors = tf.function(partial(_vectors, model), autograph=False)
        rank = tf.function(
            partial(_ranks, self._seen.as_ragged()), autograph=False, reduce_retracing=True
        )

        def measure() -> float:
            ranks = _in_batches(partial(rank, *vectors()), own)
            figures = ranking_figures(own[features.USER_INDEX], ranks)
            own_sum = figures.ndcg * figures.users if figures.users else 0.0
            return processes.sum(own_sum) / len(users)

        return measure


RMSE: Final = RootMeanSquaredError()


def criterion_for(
    options: ModelOptions, training: TrainingOptions, statistics: RatingStatistics
) -> Criterion[Any]:
    """Returns the criterion of a model: NDCG@10 if it retrieves, else RMSE.

    Args:
        options: Options of the model.
        training: Options of the training.
        statistics: Statistics of the ratings that it trains on.
    """
    if options.retrieves:
        return NormalizedDiscountedCumulativeGain(
            statistics.seen, options.liked_rating, training.ranked_users
        )
    return RMSE


def rmse(model: RatingModel, ratings: Columns) -> float:
    """Returns the root mean squared error of the predicted ratings, in stars.

    Args:
        model: Model on one device.
        ratings: `user_index`, `movie_index`, `rating`, `[n]`.

    Returns:
        NaN if there is no rating.
    """
    rows = row_count(ratings)
    return (
        math.sqrt(_squared_error(_compile_prediction(model), ratings) / rows) if rows else math.nan
    )


def liked_pairs(ratings: Columns, liked_rating: float) -> Columns:
    """Returns `user_index` and `movie_index` of the ratings that are at least `liked_rating`."""
    liked = ratings[features.RATING] >= liked_rating
    return {name: ratings[name][liked] for name in (features.USER_INDEX, features.MOVIE_INDEX)}


def of_even_users(pairs: Columns, most: int) -> Columns:
    """Returns the pairs of at most so many users, evenly spaced in the order of their indices.

    Transform numbers users by their numbers of ratings, so active and less active users keep their
    shares. Equal pairs give an equal choice.

    Args:
        pairs: `user_index` among columns, each `[n]`.
        most: Largest number of users to keep, at least 1.
    """
    users = np.unique(pairs[features.USER_INDEX])
    if len(users) <= most:
        return pairs
    chosen = users[np.arange(most) * len(users) // most]
    kept = np.isin(pairs[features.USER_INDEX], chosen)
    return {name: values[kept] for name, values in pairs.items()}


def liked_ranks(
    model: RankingModel, seen: SeenMovies, pairs: Columns
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Returns the rank of each pair's movie among those that its user did not rate in training.

    Args:
        model: Model on one device.
        seen: Movies that each user rated in training.
        pairs: `user_index` and `movie_index`, `[n]`, known or not.
    """
    return _in_batches(partial(_ranks, seen.as_ragged(), *_vectors(model)), pairs)


def top_k_accuracy(model: RankingModel, pairs: Columns) -> dict[str, float]:
    """Returns how often a movie is among the first k for its user, by k: TFRS's FactorizedTopK.

    The whole catalogue of the Transform step competes. Unlike in Recall@10, so do the movies that
    the user rated in training, and the figures are lower.

    Args:
        model: Model on one device.
        pairs: Known users and the known movies that they liked: `user_index`, `movie_index`,
            `[n]`.

    Returns:
        Accuracy for each k up to the size of the catalogue; empty without pairs.
    """
    movie_vectors = model.movie_vectors()[:-1]
    cutoffs = [k for k in _TOP_K_CUTOFFS if k <= len(movie_vectors)]
    index = tfrs.layers.factorized_top_k.BruteForce(k=max(cutoffs)).index(movie_vectors)
    metric = tfrs.metrics.FactorizedTopK(candidates=index, ks=cutoffs)
    user_vectors = model.user_vectors()
    for start in range(0, row_count(pairs), _TOP_K_BATCH):
        users, movies = (
            tf.constant(pairs[name][start : start + _TOP_K_BATCH])
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


def _compile_prediction(model: RatingModel) -> Callable[..., tf.Tensor]:
    return tf.function(model.predict_rating, autograph=False, reduce_retracing=True)


def _squared_error(predict: Callable[..., tf.Tensor], ratings: Columns) -> float:
    """Returns the sum of the squared errors over the ratings."""
    total = 0.0
    for start in range(0, row_count(ratings), _PREDICTION_BATCH):
        end = start + _PREDICTION_BATCH
        batch = {name: values[start:end] for name, values in ratings.items()}
        predicted = predict(batch[features.USER_INDEX], batch[features.MOVIE_INDEX]).numpy()
        errors = predicted.astype(np.float64) - batch[features.RATING]
        total += float(np.sum(np.square(errors)))
    return total


def _vectors(model: RankingModel) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the vectors of all users, the unknown one included, and of the known movies."""
    return tf.convert_to_tensor(model.user_vectors()), model.movie_vectors()[:-1]


def _ranks(
    seen: tf.RaggedTensor,
    user_vectors: tf.Tensor,
    movie_vectors: tf.Tensor,
    user_index: tf.Tensor,
    movie_index: tf.Tensor,
) -> tf.Tensor:
    """Returns the rank of each pair's movie for its user, int32 `[B]`."""
    scores = dot_products(tf.gather(user_vectors, user_index), movie_vectors)
    return rank_of(without_seen(scores, tf.gather(seen, user_index)), movie_index)


def _in_batches(
    rank: Callable[..., tf.Tensor], pairs: Columns
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    ranks = [
        rank(
            *(
                tf.constant(pairs[name][start : start + _RANKING_BATCH])
                for name in (features.USER_INDEX, features.MOVIE_INDEX)
            )
        ).numpy()
        for start in range(0, row_count(pairs), _RANKING_BATCH)
    ]
    return np.concatenate(ranks) if ranks else np.empty(0, np.int32)
