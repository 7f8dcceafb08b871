from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from models import zoo
from models.options import ModelOptions
from models.registry import MODELS, with_model_defaults
from pipeline.config.tree import load_config
from tests.models.definitions import (
    FEATURED_RATING_MODELS,
    FITTED_RATING_MODELS,
    FITTED_RETRIEVAL_MODELS,
    RETRIEVAL_MODELS,
    SCORES,
)


def test_every_file_of_the_zoo_is_registered_under_its_name() -> None:
    files = {path.stem for path in Path(zoo.__path__[0]).glob("*.py")} - {"__init__"}
    registered = {name: entry.implementation.split(".") for name, entry in MODELS.items()}
    assert files == set(registered)
    for name, path in registered.items():
        assert path[:-1] == ["models", "zoo", name]


def test_every_model_is_tested_for_what_it_is_judged_by() -> None:
    retrieving = {*RETRIEVAL_MODELS, *FITTED_RETRIEVAL_MODELS}
    fitted = {*FITTED_RATING_MODELS, *FITTED_RETRIEVAL_MODELS}
    rating = {*SCORES, *FEATURED_RATING_MODELS, *FITTED_RATING_MODELS}
    assert rating | retrieving == set(MODELS)
    assert {name for name, entry in MODELS.items() if not entry.by_gradients} == fitted
    assert {name for name, entry in MODELS.items() if entry.retrieves} == retrieving
    assert {name for name, entry in MODELS.items() if not entry.predicts_ratings} == {
        "two_tower",
        *FITTED_RETRIEVAL_MODELS,
    }


def test_a_name_that_is_not_registered_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValidationError) as caught:
        ModelOptions(name="biased")
    assert ", ".join(MODELS) in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_the_defaults_of_a_model_are_allowed_and_taken(name: str) -> None:
    config = load_config(None, [f"model.name={name}"])
    assert config.model == ModelOptions(name=name, **MODELS[name].model)
    training = config.training.model_dump()
    assert training == {**load_config().training.model_dump(), **MODELS[name].training}


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
    assert config.model.dimension == MODELS["sigmoid_mf"].model["dimension"]


@pytest.mark.parametrize("model", [{}, {"name": 3}, {"name": "none"}, "biased_mf"])
def test_a_name_that_is_none_is_left_for_the_check_of_the_configuration(model: object) -> None:
    assert with_model_defaults({"model": model, "split": {}}) == {"model": model, "split": {}}
