"""Explanations: which ratings of a user raise the score of a movie, and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.contracts import Contributions
from models.seen_movies import SeenMovies


class Ratings(NamedTuple):
    """Ratings of B users, of up to N movies each.

    Attributes:
        movie_index: Rated movies, int32 `[B, N]`.
        rating: Their ratings, float32 `[B, N]`.
        known: Which of them count, bool `[B, N]`.
    """

    movie_index: tf.Tensor
    rating: tf.Tensor
    known: tf.Tensor


class Explanation(NamedTuple):
    """Why B movies have their scores.

    Attributes:
        score: Scores that are explained, float32 `[B]`.
        baseline: Scores without any rating, float32 `[B]`.
        others: What is neither in the baseline nor listed, float32 `[B]`.
        movie_index: Rated movies with the largest contributions, largest first, int32 `[B, k]`;
            `NONE` where there are fewer.
        rating: Their ratings, float32 `[B, k]`, 0 for `NONE`.
        contribution: What each rating adds to the score, float32 `[B, k]`, 0 for `NONE`.
    """

    score: tf.Tensor
    baseline: tf.Tensor
    others: tf.Tensor
    movie_index: tf.Tensor
    rating: tf.Tensor
    contribution: tf.Tensor

    def of_score(self, score: tf.Tensor) -> Explanation:
        """Returns the explanation of other scores, float32 `[B]`.

        What they differ by is among the others.
        """
        listed = tf.reduce_sum(self.contribution, axis=1)
        return self._replace(score=score, others=score - self.baseline - listed)


NONE = -1


def specs_of_explanation() -> list[tf.TensorSpec]:
    """Returns the types of the parts of an `Explanation`."""
    column, table = tf.TensorShape([None]), tf.TensorShape([None, None])
    return [
        *[tf.TensorSpec(column, tf.float32)] * 3,
        tf.TensorSpec(table, tf.int32),
        *[tf.TensorSpec(table, tf.float32)] * 2,
    ]


def explain(
    contributions: Contributions,
    ratings: Ratings,
    score_of: Callable[[tf.Tensor], tf.Tensor],
    k: tf.Tensor,
) -> Explanation:
    """Returns the largest contributions to the scores that follow from the ratings.

    Where scores are not linear in the dot products, each contribution is multiplied by the slope
    between the baseline and the score of all ratings.

    Args:
        contributions: What the fold-in says about dot products.
        ratings: The ratings that it was given.
        score_of: Function from dot products to scores.
        k: Number of ratings to list, int32 scalar.
    """
    total = tf.reduce_sum(contributions.of_ratings, axis=1)
    baseline = score_of(contributions.baseline)
    reached = score_of(contributions.baseline + total)
    slope = tf.where(total == 0, 1.0, tf.math.divide_no_nan(reached - baseline, total))
    scaled = slope[:, tf.newaxis] * contributions.of_ratings
    missing = tf.maximum(k - tf.shape(scaled)[1], 0)
    ranked = tf.pad(
        tf.where(ratings.known, scaled, -np.inf), [[0, 0], [0, missing]], constant_values=-np.inf
    )
    best, place = tf.math.top_k(ranked, k)
    listed = tf.math.is_finite(best)
    place = tf.where(listed, place, 0)

    def of_listed(values: tf.Tensor, otherwise: float) -> tf.Tensor:
        # Without ratings there is no column to gather from.
        column = tf.pad(values, [[0, 0], [0, 1]])
        return tf.where(listed, tf.gather(column, place, batch_dims=1), otherwise)

    contribution = tf.where(listed, best, 0)
    return Explanation(
        score=reached,
        baseline=baseline,
        others=reached - baseline - tf.reduce_sum(contribution, axis=1),
        movie_index=of_listed(ratings.movie_index, NONE),
        rating=of_listed(ratings.rating, 0),
        contribution=contribution,
    )


class RatingTable(tf.Module):
    """The stars of seen movies, with a byte for each as long as there are at most 256 values.

    Attributes:
        levels: Different ratings, float32 `[levels]`.
        level: Index of each rating's level, the smallest unsigned int, `[ratings]`.
    """

    def __init__(self, seen: SeenMovies) -> None:
        """Finds the levels."""
        super().__init__()
        levels, level = np.unique(seen.rating, return_inverse=True)
        dtype = np.min_scalar_type(max(0, len(levels) - 1))
        self.levels = tf.Variable(levels.astype(np.float32), trainable=False)
        self.level = tf.Variable(level.astype(dtype), trainable=False)

    def stars(self, level: tf.Tensor) -> tf.Tensor:
        """Returns float32 ratings in the shape of their levels."""
        return tf.gather(self.levels.read_value(), tf.cast(level, tf.int32))

    def lower_end(self, rating: float) -> float:
        """Returns where the real numbers begin that are closest to a level of at least `rating`.

        That is halfway between the last level below it and the next one; infinite if all levels are
        on one side of it.
        """
        levels = self.levels.numpy()
        place = int(np.searchsorted(levels, np.float32(rating)))
        below, above = [-math.inf, *levels.tolist(), math.inf][place : place + 2]
        return float((below + above) / 2)
