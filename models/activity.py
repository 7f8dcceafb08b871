"""The activity of users: slices by their number of ratings."""

from __future__ import annotations

import tensorflow as tf

# Upper edges of the activity slices, by the user's number of ratings in train.
_ACTIVITY_EDGES = (0, 20, 50, 100, 200)
_ACTIVITY_NAMES = ("0", "1-20", "21-50", "51-100", "101-200", "201+")


def activity_slice(count: tf.Tensor) -> tf.Tensor:
    """Returns the activity slice of users.

    Args:
        count: Number of ratings in train, int64 of any shape.

    Returns:
        Names such as `21-50`, string of the same shape.
    """
    edges = tf.constant(_ACTIVITY_EDGES, tf.int64)
    return tf.gather(tf.constant(_ACTIVITY_NAMES), tf.searchsorted(edges, count, side="left"))
