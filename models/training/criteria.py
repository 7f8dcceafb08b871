"""What early stopping goes by."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import tensorflow as tf

from models import features
from models.columns import Columns, row_count
from models.contracts import RankingModel, RatingModel
from models.ranking import dot_products, rank_of, ranking_figures, without_seen
from models.seen_movies import SeenMovies
from models.training.devices import Processes

_PREDICTION_BATCH = 65_536
# Rows of scores of the whole catalogue at a time.
_RANKING_BATCH = 512

ModelT_contra = TypeVar("ModelT_contra", contravariant=True)


class Criterion(Protocol[ModelT_contra]):
    """A figure of the eval split, and in which direction it improves.

    Attributes:
        name: as people read it.
        key: as programs do.
        higher_is_better: whether more is better.
    """

    name: str
    key: str
    higher_is_better: bool

    def evaluator(
        self, model: ModelT_contra, ratings: Columns, processes: Processes
    ) -> Callable[[], float]:
        """A function that measures the model as it is when it is called.

        Each process computes its part and asks the others, so that all get the same figure.

        Args:
            model: under the strategy that it is trained with.
            ratings: `user_index`, `movie_index`, `rating`, `[n]`; at least one.
            processes: those that train together.

        Raises:
            ValueError: there is nothing among the ratings that the figure is about.
        """


class RootMeanSquaredError:
    """RMSE of the predicted ratings, in stars."""

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
    """NDCG@10 of what is liked, among all movies that a user did not rate in training."""

    name = "NDCG@10"
    key = "ndcg_at_10"
    higher_is_better = True

    def __init__(self, seen: SeenMovies, liked_rating: float) -> None:
        """What was rated in training, and the lowest rating of what is liked."""
        self._seen = seen
        self._liked_rating = liked_rating

    def evaluator(
        self, model: RankingModel, ratings: Columns, processes: Processes
    ) -> Callable[[], float]:
        """See `Criterion`."""
        liked = liked_pairs(ratings, self._liked_rating)
        users = np.unique(liked[features.USER_INDEX])
        if not len(users):
            raise ValueError(
                f"no rating of the eval split is {self._liked_rating:g} or more: set "
                "model.liked_rating to what counts as liked in these ratings"
            )
        own_users = users[processes.part_of(len(users))]
        is_own = np.isin(liked[features.USER_INDEX], own_users)
        own = {name: values[is_own] for name, values in liked.items()}
        vectors = tf.function(partial(_vectors, model))
        rank = tf.function(partial(_ranks, self._seen.as_ragged()), reduce_retracing=True)

        def measure() -> float:
            ranks = _in_batches(partial(rank, *vectors()), own)
            figures = ranking_figures(own[features.USER_INDEX], ranks)
            own_sum = figures.ndcg * figures.users if figures.users else 0.0
            return processes.sum(own_sum) / len(users)

        return measure


def rmse(model: RatingModel, ratings: Columns) -> float:
    """Root mean squared error of the predicted ratings, in stars; NaN without ratings."""
    rows = row_count(ratings)
    return (
        math.sqrt(_squared_error(_compile_prediction(model), ratings) / rows) if rows else math.nan
    )


def liked_pairs(ratings: Columns, liked_rating: float) -> Columns:
    """`user_index` and `movie_index` of the ratings that say that somebody liked a movie."""
    liked = ratings[features.RATING] >= liked_rating
    return {name: ratings[name][liked] for name in (features.USER_INDEX, features.MOVIE_INDEX)}


def _compile_prediction(model: RatingModel) -> Callable[..., tf.Tensor]:
    return tf.function(model.predict_rating, reduce_retracing=True)


def _squared_error(predict: Callable[..., tf.Tensor], ratings: Columns) -> float:
    """The sum over the ratings."""
    total = 0.0
    for start in range(0, row_count(ratings), _PREDICTION_BATCH):
        end = start + _PREDICTION_BATCH
        batch = {name: values[start:end] for name, values in ratings.items()}
        predicted = predict(batch[features.USER_INDEX], batch[features.MOVIE_INDEX]).numpy()
        errors = predicted.astype(np.float64) - batch[features.RATING]
        total += float(np.sum(np.square(errors)))
    return total


def _vectors(model: RankingModel) -> tuple[tf.Tensor, tf.Tensor]:
    """Of the users, the unknown one among them, and of the movies in the catalogue."""
    return tf.convert_to_tensor(model.user_vectors()), model.movie_vectors()[:-1]


def _ranks(
    seen: tf.RaggedTensor,
    user_vectors: tf.Tensor,
    movie_vectors: tf.Tensor,
    user_index: tf.Tensor,
    movie_index: tf.Tensor,
) -> tf.Tensor:
    """Of each pair, `[B]`, `[B]` -> `[B]`."""
    scores = dot_products(tf.gather(user_vectors, user_index), movie_vectors)
    return rank_of(without_seen(scores, tf.gather(seen, user_index)), movie_index)


def _in_batches(
    rank: Callable[..., tf.Tensor], pairs: Columns
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    found = [
        rank(
            *(
                tf.constant(pairs[name][start : start + _RANKING_BATCH])
                for name in (features.USER_INDEX, features.MOVIE_INDEX)
            )
        ).numpy()
        for start in range(0, row_count(pairs), _RANKING_BATCH)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int32)
