"""Weights of ratings as choices: how much a rating says that the user wants such movies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import tensorflow as tf

from models.options import ModelOptions
from models.rating_statistics import RatingStatistics

ChoiceWeight = Callable[[tf.Tensor], tf.Tensor]

# Weights at equal steps from the lowest rating to the highest: of 1 to 5 stars.
_GRADES: Final = (0.0, 0.1, 0.4, 0.9, 1.0)


def choice_weight(options: ModelOptions, statistics: RatingStatistics) -> ChoiceWeight:
    """Returns the function from ratings, float32 of any shape, to weights of the same shape.

    `liked` gives ratings of at least `liked_rating` weight 1, and all others 0. `graded` gives 1 to
    5 stars 0, 0.1, 0.4, 0.9 and 1. Other ratings, and other ranges of ratings, are interpolated.
    `rated` gives every rating weight 1: what a user rated, the user chose to watch.

    Args:
        options: `choice_weight` and `liked_rating` of the model.
        statistics: Lowest and highest rating.
    """
    if options.choice_weight == "liked":
        return lambda rating: tf.cast(rating >= options.liked_rating, tf.float32)
    if options.choice_weight == "rated":
        return tf.ones_like
    lowest, highest = statistics.rating_min, statistics.rating_max
    if lowest == highest:
        return tf.ones_like
    steps = len(_GRADES) - 1

    def graded(rating: tf.Tensor) -> tf.Tensor:
        place = (rating - lowest) * (steps / (highest - lowest))
        # Each step adds its rise, as far as the rating has climbed it.
        climbed = tf.clip_by_value(place[..., tf.newaxis] - tf.range(steps, dtype=tf.float32), 0, 1)
        return tf.linalg.matvec(climbed, tf.constant(np.diff(_GRADES), tf.float32))

    return graded
