"""What the rest of the project asks of a model."""

from __future__ import annotations

from typing import Protocol, TypeGuard

import tensorflow as tf

from models.export.rating_head import RatingHead
from models.zoo.fold_in import FoldIn


class RankingModel(Protocol):
    """The contract of every model; see `BiasedMatrixFactorization` and `TwoTower`."""

    trainable_variables: list[tf.Variable]

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """A scalar: all that the training loop needs."""

    def user_vectors(self) -> tf.Tensor:
        """`[users + 1, d]`; the last row is the unknown user's."""

    def movie_vectors(self) -> tf.Tensor:
        """`[movies + 1, d]`; the dot with a user's vector ranks the movies for them.

        The first `ModelOptions.dimension` entries are those by which movies are alike.
        """

    def fold_in(self) -> FoldIn:
        """What finds the vector of somebody new; of the weights as they are now."""

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """What such a dot is shown as, of the same shape: a rating, not clipped, where it can."""


class RatingModel(RankingModel, Protocol):
    """The contract of a model that the RMSE gate judges."""

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """`[B]`, `[B]` -> `[B]`, within the range of ratings."""

    def rating_head(self) -> RatingHead:
        """What predicts the same from rows of both vectors, before it is clipped to the range.

        Of the weights as they are now, and sharing none with the model: it is exported.
        """


def predicts_ratings(model: RankingModel) -> TypeGuard[RatingModel]:
    """Whether the model is a `RatingModel`."""
    return hasattr(model, "predict_rating")
