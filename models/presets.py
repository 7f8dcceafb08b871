"""Defaults that differ from model to model.

The defaults in `models.options` are those of `biased_mf`. What a user sets goes before these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Preset = Mapping[str, Mapping[str, Any]]

# By model name and section of the configuration.
PRESETS: Mapping[str, Preset] = {
    "biased_mf": {},
    "sigmoid_mf": {
        "model": {"dimension": 15, "l2_embedding": 0.05, "l2_bias": 0.002},
        "training": {
            "optimizer": "rmsprop",
            "learning_rate": 0.0005,
            "batch_size": 1024,
            "epochs": 40,
        },
    },
    "sparse_mf": {
        "model": {"dimension": 5, "init_stddev": 0.3, "l2_embedding": 0.07},
        "training": {"epochs": 60},
    },
    "svdpp": {
        "model": {"dimension": 64, "l2_embedding": 0.09, "l2_bias": 0.01},
        "training": {"learning_rate": 6.0, "epochs": 30, "patience": 5},
    },
    "two_tower": {
        "model": {"dimension": 128, "init_stddev": 0.1, "l2_embedding": 0.045},
        "training": {
            "optimizer": "adam",
            "learning_rate": 0.01,
            "batch_size": 1024,
            "epochs": 15,
            "patience": 5,
        },
    },
    "multitask": {
        "model": {
            "dimension": 128,
            "init_stddev": 0.1,
            "l2_embedding": 0.07,
            "l2_bias": 0.01,
            "rating_weight": 0.3,
        },
        "training": {
            "optimizer": "adam",
            "learning_rate": 0.005,
            "batch_size": 1024,
            "epochs": 15,
            "patience": 5,
        },
    },
    "collaborative_filtering": {
        "model": {"dimension": 10, "init_stddev": 1.0, "l2_embedding": 10.0},
        "training": {
            "optimizer": "adam",
            "learning_rate": 0.1,
            "schedule": "constant",
            "epochs": 200,
            "patience": 200,
            # One step an epoch, over all ratings.
            "batch_size": 1_000_000_000,
        },
    },
}


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a configuration, by section, with the defaults of the model that they name."""
    model = values.get("model")
    name = model.get("name") if isinstance(model, Mapping) else None
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    merged = dict(values)
    for section, defaults in preset.items():
        chosen = values.get(section, {})
        merged[section] = {**defaults, **chosen} if isinstance(chosen, Mapping) else chosen
    return merged
