"""Every model that the pipeline can train, by the name that the configuration gives it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from models.contracts import RankingModel
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.training.criteria import (
    Criterion,
    NormalizedDiscountedCumulativeGain,
    RootMeanSquaredError,
)
from models.zoo.biased_mf import BiasedMatrixFactorization
from models.zoo.collaborative_filtering import CollaborativeFiltering
from models.zoo.multitask import MultitaskModel
from models.zoo.sigmoid_mf import SigmoidMatrixFactorization
from models.zoo.sparse_mf import SparseMatrixFactorization
from models.zoo.svdpp import SVDPlusPlus
from models.zoo.two_tower import TwoTower

MODELS: dict[str, type[tfrs.Model]] = {
    "biased_mf": BiasedMatrixFactorization,
    "sigmoid_mf": SigmoidMatrixFactorization,
    "sparse_mf": SparseMatrixFactorization,
    "svdpp": SVDPlusPlus,
    "collaborative_filtering": CollaborativeFiltering,
    "two_tower": TwoTower,
    "multitask": MultitaskModel,
}


def build_model(
    options: ModelOptions,
    statistics: RatingStatistics,
    seed: int,
    precision: str = "float32",
) -> RankingModel:
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
        model: RankingModel = MODELS[options.name](statistics, options, seed)
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
    return model


def criterion_for(options: ModelOptions, statistics: RatingStatistics) -> Criterion[Any]:
    """What early stopping of a model goes by: its ranking if it retrieves, else its error.

    Args:
        options: which model.
        statistics: of the ratings that it is trained on.
    """
    if options.retrieves:
        return NormalizedDiscountedCumulativeGain(statistics.seen, options.liked_rating)
    return RootMeanSquaredError()
