"""Builds models by the names in the registry."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import tensorflow as tf

from models.contracts import RankingModel
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.registry import MODELS


def build_model(
    options: ModelOptions,
    statistics: RatingStatistics,
    seed: int,
    precision: str = "float32",
) -> RankingModel:
    """Builds a model with its initial weights.

    Equal options, statistics and seeds give equal weights.

    Args:
        options: Name, size and regularisation of the model.
        statistics: Statistics of the ratings to train on.
        seed: Seed of the initial weights.
        precision: Keras policy of the computations; weights are float32 under any.
    """
    build = _implementation(options.name)
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(precision)
    try:
        return build(statistics, options, seed)
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def _implementation(name: str) -> Callable[[RatingStatistics, ModelOptions, int], RankingModel]:
    module, _, class_name = MODELS[name].implementation.rpartition(".")
    implementation: Callable[[RatingStatistics, ModelOptions, int], RankingModel] = getattr(
        importlib.import_module(module), class_name
    )
    return implementation
