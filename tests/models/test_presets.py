from typing import Any

import pytest

from models.presets import PRESETS, with_preset
from models.registry import MODELS
from pipeline.config.tree import load_config


def test_every_model_has_its_defaults() -> None:
    assert set(PRESETS) == set(MODELS)


@pytest.mark.parametrize("name", PRESETS)
def test_the_defaults_of_a_model_are_allowed_and_taken(name: str) -> None:
    config = load_config(None, [f"model.name={name}"]).model_dump()
    for section, values in PRESETS[name].items():
        for key, value in values.items():
            assert config[section][key] == value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sigmoid_mf", {"model.dimension": 15, "training.optimizer": "rmsprop"}),
        ("sparse_mf", {"training.optimizer": "sgd"}),
        (
            "collaborative_filtering",
            {
                "training.optimizer": "adam",
                "training.learning_rate": 0.1,
                "training.schedule": "constant",
                "training.epochs": 200,
            },
        ),
    ],
)
def test_models_of_a_tutorial_are_trained_as_it_does(name: str, expected: dict[str, Any]) -> None:
    config = load_config(None, [f"model.name={name}"]).model_dump()
    found = {}
    for key in expected:
        section, _, option = key.partition(".")
        found[key] = config[section][option]
    assert found == expected


def test_collaborative_filtering_takes_every_iteration_over_all_ratings() -> None:
    training = load_config(None, ["model.name=collaborative_filtering"]).training
    assert training.batch_size >= 100_000
    assert training.patience >= training.epochs


def test_what_is_set_goes_before_the_defaults_of_the_model() -> None:
    config = load_config(None, ["model.name=sigmoid_mf", "training.optimizer=sgd"])
    assert config.training.optimizer == "sgd"
    assert config.model.dimension == PRESETS["sigmoid_mf"]["model"]["dimension"]


@pytest.mark.parametrize("model", [{}, {"name": 3}, {"name": "none"}, "biased_mf"])
def test_a_name_that_is_none_is_left_for_the_check_of_the_configuration(model: object) -> None:
    assert with_preset({"model": model, "split": {}}) == {"model": model, "split": {}}
