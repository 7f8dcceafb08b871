from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from models.layers.choice_weights import choice_weight
from models.options import ModelOptions
from tests.models.factories import statistics


@pytest.mark.parametrize(
    ("lowest", "highest", "ratings", "expected"),
    [
        (1, 5, [1, 2, 3, 4, 5], [0, 0.1, 0.4, 0.9, 1]),
        # Half a step up from one star, from three stars and from four.
        (1, 5, [1.5, 3.5, 4.5], [0.05, 0.65, 0.95]),
        (0.5, 5, [0.5, 2.75, 5], [0, 0.4, 1]),
        (1, 10, [1, 5.5, 10], [0, 0.4, 1]),
        # A new user may rate beyond what was seen in training.
        (1, 5, [0, 6], [0, 1]),
        (4, 4, [4], [1]),
    ],
)
def test_graded_weights_follow_the_stars(
    lowest: float, highest: float, ratings: list[float], expected: list[float]
) -> None:
    measured = replace(statistics(), rating_min=lowest, rating_max=highest)
    weigh = choice_weight(ModelOptions(choice_weight="graded"), measured)
    found = weigh(tf.constant([ratings], tf.float32))
    np.testing.assert_allclose(found, [expected], atol=1e-6)


def test_liked_weights_are_all_or_nothing() -> None:
    weigh = choice_weight(ModelOptions(liked_rating=3.5), statistics())
    assert weigh(tf.constant([3.0, 3.5, 5.0])).numpy().tolist() == [0, 1, 1]


def test_rated_weights_are_one_whatever_the_stars() -> None:
    weigh = choice_weight(ModelOptions(choice_weight="rated"), statistics())
    assert weigh(tf.constant([1.0, 3.5, 5.0])).numpy().tolist() == [1, 1, 1]
