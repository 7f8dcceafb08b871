"""Matrix factorisation with biases, through a sigmoid."""

from __future__ import annotations

import math
from dataclasses import replace

import tensorflow as tf

from models.layers.embeddings import with_unknown_row
from models.layers.fold_in import SquaredErrorFoldIn
from models.zoo.biased_mf import BiasedMatrixFactorization

# Least distance in stars from the mean to an end of the range. It is 0 where all ratings are
# equal, which has no logarithm.
_LEAST_DISTANCE = 0.01
# Steps of a fold-in, which has converged by then.
_ITERATIONS = 6


class SigmoidMatrixFactorization(BiasedMatrixFactorization):
    """r̂(u, i) = l + (h − l) σ(c + b_u + b_i + p_u · q_i), with the range of ratings [l, h].

    c is the logit of the mean rating within the range, so that an unknown user gets the mean for an
    unknown movie. The initial vectors follow Glorot & Bengio, "Understanding the difficulty of
    training deep feedforward neural networks" (2010), equation 16.
    """

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the ratings that dot products stand for, of the same shape."""
        lowest, highest = self._statistics.rating_min, self._statistics.rating_max
        return lowest + (highest - lowest) * tf.sigmoid(dot)

    def fold_in(self) -> SquaredErrorFoldIn:
        """Returns a fold-in of p_u and b_u, penalised as in training."""
        return replace(super().fold_in(), link=self._rating_and_slope, iterations=_ITERATIONS)

    def _rating_and_slope(self, dot: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        share = tf.sigmoid(dot)
        span = self._statistics.rating_max - self._statistics.rating_min
        return self.score_of(dot), span * share * (1 - share)

    def _offset(self) -> float:
        statistics = self._statistics
        above = statistics.rating_mean - statistics.rating_min
        below = statistics.rating_max - statistics.rating_mean
        return math.log(max(above, _LEAST_DISTANCE) / max(below, _LEAST_DISTANCE))

    def _initial_vectors(self, known: int, seed: list[int]) -> tf.Tensor:
        shape = [known, self._options.dimension]
        limit = math.sqrt(6 / sum(shape))
        return with_unknown_row(tf.random.stateless_uniform(shape, seed, -limit, limit))
