"""The figures of slices that are cut out of whole batches, beside their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.api.types import VarLenTensorValue
from tensorflow_model_analysis.metrics import metric_types

from models.options import ModelOptions
from pipeline import rating_metrics
from pipeline.config.tree import GateConfig
from pipeline.gate import evaluation_config
from pipeline.rating_metrics import CALIBRATION, MAE, RMSE
from pipeline.sliced_batches import custom_extractors

MODELS = ([""], [tfma.CANDIDATE_KEY, tfma.BASELINE_KEY])
# The genres of the rows of each batch: a different number each, repeated, or none at all.
BATCHES = (
    [["Drama"], ["War", "Drama"], [], ["Drama", "Drama"]],
    [["War"], ["Noir"], ["Noir"]],
    [[], []],
)
LIKED = 4.0


class Row:
    """A rating, and what each model makes of it."""

    def __init__(self, genres: list[str], models: list[str], draw: np.random.Generator) -> None:
        self.genres = genres
        self.user = f"{draw.integers(3)}".encode()
        self.rating = np.float32(draw.integers(1, 11) / 2)
        self.predicted = {name: np.float32(draw.uniform(0.5, 5)) for name in models}
        self.rank = {name: int(draw.integers(1, 15)) for name in models}
        self.popularity_rank = {name: int(draw.integers(1, 15)) for name in models}
        self.gender = "FM"[draw.integers(2)]
        # Two ages of one group, and one of the next.
        self.age = int(draw.choice([25, 34, 35]))
        # Each model knows its own number of a user's ratings.
        self.activity = {name: draw.choice([b"few", b"many"]) for name in models}

    def slices(self) -> set[tuple[str, str]]:
        own = {("user_activity", str(value, "utf-8")) for value in self.activity.values()}
        own.add(("user_gender", self.gender))
        own.add(("user_age_group", "35-44" if self.age == 35 else "25-34"))
        return own | {("movie_genres", genre) for genre in self.genres}


def rows(models: list[str]) -> list[list[Row]]:
    draw = np.random.default_rng(3)
    return [[Row(genres, models, draw) for genres in batch] for batch in BATCHES]


def extracts(batch: list[Row], models: list[str]) -> dict[str, Any]:
    """Returns the extracts of a batch as TFMA's extractors make them."""

    def by_model(value: Callable[[str], Any]) -> Any:
        return {name: value(name) for name in models} if models != [""] else value("")

    flat = [(row, place, genre) for row, one in enumerate(batch) for place, genre in
            enumerate(one.genres)]  # fmt: skip
    raw = {
        "user_id": np.array([[row.user] for row in batch], object),
        "user_gender": np.array([[row.gender.encode()] for row in batch], object),
        "user_age": np.array([[row.age] for row in batch]),
    }
    if flat:
        raw["movie_genres"] = VarLenTensorValue(
            values=np.array([genre.encode() for *_, genre in flat], object),
            indices=np.array([place for *place, _ in flat]),
            dense_shape=np.array([len(batch), 2]),
        )
    if all(len(row.genres) == 1 for row in batch):
        raw["movie_genres"] = np.array([[row.genres[0].encode()] for row in batch], object)
    return {
        constants.INPUT_KEY: np.array([b"record"] * len(batch), object),
        constants.FEATURES_KEY: raw,
        constants.LABELS_KEY: by_model(lambda _: np.array([[row.rating] for row in batch])),
        constants.PREDICTIONS_KEY: by_model(
            lambda name: np.array([row.predicted[name] for row in batch])
        ),
        constants.TRANSFORMED_FEATURES_KEY: by_model(
            lambda name: {
                "user_activity": np.array([row.activity[name] for row in batch], object),
                "rank": np.array([row.rank[name] for row in batch]),
                "popularity_rank": np.array([row.popularity_rank[name] for row in batch]),
            }
        ),
    }


def definitions(chosen: list[Row], model: str) -> Iterator[tuple[str, float]]:
    errors = [float(row.predicted[model]) - float(row.rating) for row in chosen]
    yield RMSE, math.sqrt(math.fsum(error**2 for error in errors) / len(errors))
    yield MAE, math.fsum(map(abs, errors)) / len(errors)
    predicted, rated = (math.fsum(values) for values in zip(
        *((float(row.predicted[model]), float(row.rating)) for row in chosen), strict=True
    ))  # fmt: skip
    yield CALIBRATION, predicted / rated
    liked: dict[bytes, list[int]] = {}
    for row in chosen:
        if row.rating >= LIKED:
            liked.setdefault(row.user, []).append(row.rank[model])
    gains = [
        sum(1 / math.log2(rank + 1) for rank in ranks if rank <= 10)
        / sum(1 / math.log2(place + 1) for place in range(1, min(len(ranks), 10) + 1))
        for ranks in liked.values()
    ]
    yield "ndcg_at_10", sum(gains) / len(gains) if gains else math.nan
    recalls = [sum(rank <= 10 for rank in ranks) / len(ranks) for ranks in liked.values()]
    yield "recall_at_10", sum(recalls) / len(recalls) if recalls else math.nan


def config_of(models: list[str]) -> tfma.EvalConfig:
    config = evaluation_config(GateConfig(), ModelOptions(name="multitask", liked_rating=LIKED))
    for spec in config.metrics_specs:
        # Thresholds make TFMA ask for a baseline.
        spec.ClearField("per_slice_thresholds")
        for metric in spec.metrics:
            metric.ClearField("per_slice_thresholds")
    return tfma.utils.update_eval_config_with_defaults(config, has_baseline=len(models) > 1)


@pytest.mark.parametrize("models", MODELS, ids=["alone", "with a baseline"])
def test_every_slice_has_the_figures_of_its_rows(models: list[str]) -> None:
    batches = rows(models)
    every = [row for batch in batches for row in batch]
    keys = set().union(*(row.slices() for row in every))
    chosen = {(): every} | {(key,): [r for r in every if key in r.slices()] for key in keys}
    config = config_of(models)

    def check(found: list[tuple[Any, dict[metric_types.MetricKey, float]]]) -> None:
        assert {key for key, _ in found} == set(chosen)
        for key, figures in found:
            by_name = {
                (figure.name, figure.model_name): value
                for figure, value in figures.items()
                if not figure.is_diff
            }
            for model in models:
                for name, value in definitions(chosen[key], model):
                    expected = pytest.approx(value, rel=1e-6, nan_ok=True)
                    assert by_name[name, model] == expected, (key, model, name)

    *_, cut = custom_extractors(None, config, None)
    # Beam's own default would first try to download another runner.
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        evaluated = (
            pipeline
            | beam.Create([extracts(batch, models) for batch in batches])
            | tfma.ExtractAndEvaluate(
                extractors=[cut], evaluators=tfma.default_evaluators(eval_config=config)
            )
        )
        assert_that(evaluated[constants.METRICS_KEY], check)


@pytest.mark.parametrize("models", MODELS, ids=["alone", "with a baseline"])
def test_the_figures_have_the_keys_of_tfma(models: list[str]) -> None:
    own = {
        RMSE: tfma.metrics.MeanSquaredError(name=RMSE),
        MAE: tfma.metrics.MeanAbsoluteError(name=MAE),
        CALIBRATION: tfma.metrics.Calibration(name=CALIBRATION),
    }
    for name in rating_metrics.NAMES:
        expected, found = (
            {key for made in metric.computations(model_names=models) for key in made.keys
             if key.name == name}
            for metric in (own[name], rating_metrics.RatingMetric(name))
        )  # fmt: skip
        assert found == expected
        assert len(found) == len(models)


def test_a_slice_of_two_features_is_refused() -> None:
    config = config_of([""])
    config.slicing_specs.add(feature_keys=["movie_genres", "user_activity"])
    with pytest.raises(ValueError, match="at most one feature"):
        custom_extractors(None, config, None)
