"""Registers the models that the configuration can name.

Adding a model takes one file in `models/zoo/` and one entry here. The entries name classes without
importing them, so that the configuration is read without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelEntry:
    """Describes one model.

    Attributes:
        implementation: Dotted name of the class in `models.zoo`.
        predicts_ratings: Whether the model predicts ratings and is judged by their error.
        retrieves: Whether the model ranks what users like and is judged by its ranking.
        predicts_intervals: Whether its ratings have a standard deviation.
        uses_side_features: Whether it learns from side features, and serves new users and movies
            by theirs.
        by_gradients: Whether the GradientTape loop trains the model, not its own `fit`.
        model: Defaults of `ModelOptions` that differ from those of `biased_mf`.
        training: Defaults of `TrainingOptions` that differ from those of `biased_mf`.
    """

    implementation: str
    predicts_ratings: bool = True
    retrieves: bool = False
    predicts_intervals: bool = False
    uses_side_features: bool = False
    by_gradients: bool = True
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


# Towers lose more by a mix with initial weights than they gain.
_WARM_TOWERS: Mapping[str, float] = {"warm_epochs": 0.6, "warm_share": 1.0, "warm_rate": 0.4}

# The defaults in `models.options` are those of `biased_mf`.
MODELS: Mapping[str, ModelEntry] = {
    "biased_mf": ModelEntry("models.zoo.biased_mf.BiasedMatrixFactorization"),
    "sigmoid_mf": ModelEntry(
        "models.zoo.sigmoid_mf.SigmoidMatrixFactorization",
        model={"dimension": 15, "l2_embedding": 0.05, "l2_bias": 0.002},
        training={
            "optimizer": "rmsprop",
            "learning_rate": 0.0005,
            "batch_size": 1024,
            "epochs": 40,
        },
    ),
    "sparse_mf": ModelEntry(
        "models.zoo.sparse_mf.SparseMatrixFactorization",
        model={"dimension": 5, "init_stddev": 0.3, "l2_embedding": 0.07},
        training={"epochs": 60},
    ),
    "svdpp": ModelEntry(
        "models.zoo.svdpp.SVDPlusPlus",
        uses_side_features=True,
        model={
            "dimension": 128,
            "members": 8,
            "eigenvectors": 64,
            "init_stddev": 0.1,
            "l2_embedding": 13.0,
            "l2_bias": 2.5,
        },
        training={
            "optimizer": "adam",
            "learning_rate": 0.01,
            "batch_size": 2048,
            "epochs": 12,
            "patience": 5,
        },
    ),
    "collaborative_filtering": ModelEntry(
        "models.zoo.collaborative_filtering.CollaborativeFiltering",
        model={"dimension": 10, "init_stddev": 1.0, "l2_embedding": 10.0},
        training={
            "optimizer": "adam",
            "learning_rate": 0.1,
            "schedule": "constant",
            "epochs": 200,
            "patience": 200,
            # One step an epoch, over all ratings.
            "batch_size": 1_000_000_000,
        },
    ),
    "bayesian_mf": ModelEntry(
        "models.zoo.bayesian_mf.BayesianMatrixFactorization",
        predicts_intervals=True,
        uses_side_features=True,
        by_gradients=False,
        model={"dimension": 64, "init_stddev": 0.1, "l2_embedding": 0.0, "l2_bias": 0.0},
        training={"epochs": 500, "patience": 500},
    ),
    "two_tower": ModelEntry(
        "models.zoo.two_tower.TwoTower",
        predicts_ratings=False,
        retrieves=True,
        model={"dimension": 128, "init_stddev": 0.1, "l2_embedding": 0.045},
        training={
            **_WARM_TOWERS,
            "optimizer": "adam",
            "learning_rate": 0.01,
            "batch_size": 1024,
            "epochs": 15,
            "patience": 5,
        },
    ),
    "ease": ModelEntry(
        "models.zoo.ease.EASE",
        predicts_ratings=False,
        retrieves=True,
        by_gradients=False,
        model={"dimension": 1024, "l2_embedding": 400.0, "choice_weight": "graded"},
        training={"epochs": 1},
    ),
    "ials": ModelEntry(
        "models.zoo.ials.ImplicitALS",
        predicts_ratings=False,
        retrieves=True,
        by_gradients=False,
        model={"dimension": 64, "init_stddev": 0.0125, "l2_embedding": 0.03, "gravity": 0.1},
        training={"epochs": 12, "patience": 5},
    ),
    "blend": ModelEntry(
        "models.zoo.blend.Blend",
        predicts_ratings=False,
        retrieves=True,
        by_gradients=False,
        model={"dimension": 256, "l2_embedding": 0.0},
        training={"epochs": 1},
    ),
    "multitask": ModelEntry(
        "models.zoo.multitask.MultitaskModel",
        retrieves=True,
        model={
            "dimension": 128,
            "init_stddev": 0.1,
            "l2_embedding": 0.07,
            "l2_bias": 0.01,
            "rating_weight": 0.3,
        },
        training={
            **_WARM_TOWERS,
            "optimizer": "adam",
            "learning_rate": 0.005,
            "batch_size": 1024,
            "epochs": 15,
            "patience": 5,
        },
    ),
}


def with_model_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration completed with the defaults of the model that it names.

    Args:
        values: Configuration by section. Its own values take precedence; a `model.name` that is
            not in `MODELS` adds nothing.
    """
    model = values.get("model")
    name = model.get("name") if isinstance(model, Mapping) else None
    entry = MODELS.get(name) if isinstance(name, str) else None
    merged = dict(values)
    if entry is None:
        return merged
    for section, defaults in (("model", entry.model), ("training", entry.training)):
        chosen = values.get(section, {})
        merged[section] = {**defaults, **chosen} if isinstance(chosen, Mapping) else chosen
    return merged
