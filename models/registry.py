"""Every model that the pipeline can train, by the name that the configuration gives it."""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf
import tensorflow_recommenders as tfrs

from models.biased_mf import BiasedMatrixFactorization
from models.collaborative_filtering import CollaborativeFiltering
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.sigmoid_mf import SigmoidMatrixFactorization
from models.sparse_mf import SparseMatrixFactorization
from models.svdpp import SVDPlusPlus


class RatingModel(Protocol):
    """The contract of a model that the RMSE gate judges; see `BiasedMatrixFactorization`."""

    trainable_variables: list[tf.Variable]

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """A scalar: all that the training loop needs."""

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """`[B]`, `[B]` -> `[B]`, within the range of ratings."""

    def user_vectors(self) -> tf.Tensor:
        """`[users + 1, d]`; the last row is the unknown user's."""

    def movie_vectors(self) -> tf.Tensor:
        """`[movies + 1, d]`; the dot with a user's vector ranks the movies for them."""

    def rating_of(self, score: tf.Tensor) -> tf.Tensor:
        """The rating, not clipped, that such a dot stands for; of the same shape."""


MODELS: dict[str, type[tfrs.Model]] = {
    "biased_mf": BiasedMatrixFactorization,
    "sigmoid_mf": SigmoidMatrixFactorization,
    "sparse_mf": SparseMatrixFactorization,
    "svdpp": SVDPlusPlus,
    "collaborative_filtering": CollaborativeFiltering,
}


def build_model(
    options: ModelOptions,
    statistics: RatingStatistics,
    seed: int,
    precision: str = "float32",
) -> RatingModel:
    """A fresh model; the same options, statistics and seed give the same weights.

    Args:
        options: which model, and its size.
        statistics: of the ratings that it will be trained on.
        seed: of the initial weights.
        precision: a Keras policy for what the model computes in; its weights are float32 always.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(precision)
    try:
        model: RatingModel = MODELS[options.name](statistics, options, seed)
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
    return model
