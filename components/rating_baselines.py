"""RatingBaselines: measures on the holdout what the simplest predictions of ratings achieve."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental import simple_artifacts
from tfx.utils import io_utils

from components.step_types import Artifacts, Properties
from models import features
from models.columns import RATING_COLUMNS, Columns, read_columns

BASELINES_KEY: Final = "baselines"
BASELINES_FILE: Final = "baselines.json"
GLOBAL_MEAN: Final = "global_mean"
BIAS_ONLY: Final = "bias_only"

# The regularisation and sweeps that Surprise and Koren's article use for 100K-sized data.
_MOVIE_REGULARISATION: Final = 10.0
_USER_REGULARISATION: Final = 15.0
_SWEEPS: Final = 10

Vector = np.ndarray[Any, np.dtype[np.float64]]


class Executor(base_executor.BaseExecutor):
    """Fits the baselines on train and eval together, and measures them on the holdout."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Writes the holdout RMSE of each baseline as JSON."""
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        fitted_on = _read_splits(examples, features.TRAIN, features.EVAL)
        holdout = _read_splits(examples, features.HOLDOUT)
        users, movies = (
            1 + max(int(np.max(split[name], initial=0)) for split in (fitted_on, holdout))
            for name in (features.USER_INDEX, features.MOVIE_INDEX)
        )
        biases = fit_biases(fitted_on, users, movies)
        lowest, highest = fitted_on[features.RATING].min(), fitted_on[features.RATING].max()
        predicted = np.clip(biases.predict(holdout), lowest, highest)
        result = {GLOBAL_MEAN: rmse(biases.mean, holdout), BIAS_ONLY: rmse(predicted, holdout)}
        folder = artifact_utils.get_single_uri(output_dict[BASELINES_KEY])
        io_utils.write_string_file(os.path.join(folder, BASELINES_FILE), json.dumps(result))


class RatingBaselinesSpec(ComponentSpec):
    """Takes transformed examples; writes a folder with `baselines.json`.

    The output has a type of TFX's own: TFX's compiler for clusters refuses other types that are
    defined below a top-level package.
    """

    PARAMETERS: ClassVar = {"code_fingerprint": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples)
    }
    OUTPUTS: ClassVar = {BASELINES_KEY: ChannelParameter(type=simple_artifacts.Metrics)}


class RatingBaselines(base_component.BaseComponent):
    """Measures the global mean and the bias-only prediction on the holdout split."""

    SPEC_CLASS = RatingBaselinesSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, examples: types.BaseChannel, code_fingerprint: str) -> None:
        """Constructs the component.

        Args:
            examples: Transform's examples, with the splits train, eval and holdout.
            code_fingerprint: Digest of this component's code; a change makes the step run again.
        """
        super().__init__(
            RatingBaselinesSpec(
                examples=examples,
                code_fingerprint=code_fingerprint,
                baselines=types.Channel(type=simple_artifacts.Metrics),
            )
        )


def read(folder: str) -> dict[str, float]:
    """Returns the holdout RMSE by baseline, from the artifact's folder."""
    text = io_utils.read_string_file(os.path.join(folder, BASELINES_FILE))
    result: dict[str, float] = json.loads(text)
    return result


@dataclass(frozen=True)
class Biases:
    """Mean of the ratings, and how far each user and movie is from it, in stars.

    Attributes:
        mean: Mean rating.
        user: float64 `[U]`, bias by user index.
        movie: float64 `[I]`, bias by movie index.
    """

    mean: float
    user: Vector
    movie: Vector

    def predict(self, ratings: Columns) -> Vector:
        """Returns μ + b_u + b_i, float64 `[n]`, for `user_index` and `movie_index` `[n]`."""
        return (
            self.mean
            + self.user[ratings[features.USER_INDEX]]
            + self.movie[ratings[features.MOVIE_INDEX]]
        )


def fit_biases(ratings: Columns, users: int, movies: int) -> Biases:
    """Fits μ + b_u + b_i by alternating ridge regression.

    Source: Koren, "Factor in the neighbors" (2010), section 2.1: each sweep sets
    b_i = Σ(r − μ − b_u) / (λ_movie + n_i), then b_u likewise.

    Args:
        ratings: Columns `user_index`, `movie_index` and `rating`, `[n]` each.
        users: Number of user indices, the one of unknown users included.
        movies: Number of movie indices, the one of unknown movies included.
    """
    user_index, movie_index = ratings[features.USER_INDEX], ratings[features.MOVIE_INDEX]
    stars = ratings[features.RATING].astype(np.float64)
    mean = float(stars.mean())
    residual = stars - mean
    user_weight = np.bincount(user_index, minlength=users) + _USER_REGULARISATION
    movie_weight = np.bincount(movie_index, minlength=movies) + _MOVIE_REGULARISATION
    user, movie = np.zeros(users), np.zeros(movies)
    for _ in range(_SWEEPS):
        movie = np.bincount(movie_index, residual - user[user_index], movies) / movie_weight
        user = np.bincount(user_index, residual - movie[movie_index], users) / user_weight
    return Biases(mean, user, movie)


def rmse(predicted: Vector | float, ratings: Columns) -> float:
    """Returns the root mean squared error in stars."""
    stars = ratings[features.RATING].astype(np.float64)
    return float(np.sqrt(np.mean(np.square(predicted - stars))))


def _read_splits(examples: list[types.Artifact], *splits: str) -> Columns:
    patterns = [
        io_utils.all_files_pattern(uri)
        for split in splits
        for uri in artifact_utils.get_split_uris(examples, split)
    ]
    return read_columns(patterns, RATING_COLUMNS)
