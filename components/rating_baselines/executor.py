"""The work of RatingBaselines."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components.rating_baselines import baselines
from models import features
from models.columns import RATING_COLUMNS, read_columns

BASELINES_KEY = "baselines"
BASELINES_FILE = "baselines.json"
GLOBAL_MEAN = "global_mean"
BIAS_ONLY = "bias_only"


class Executor(base_executor.BaseExecutor):
    """Fits the baselines on train and eval together, and measures them on holdout."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the holdout RMSE of each baseline as JSON."""
        examples = input_dict[standard_component_specs.EXAMPLES_KEY]
        fitted_on = _read(examples, features.TRAIN, features.EVAL)
        holdout = _read(examples, features.HOLDOUT)
        users, movies = (
            1 + max(int(np.max(split[name], initial=0)) for split in (fitted_on, holdout))
            for name in (features.USER_INDEX, features.MOVIE_INDEX)
        )
        biases = baselines.fit_biases(fitted_on, users, movies)
        lowest, highest = fitted_on[features.RATING].min(), fitted_on[features.RATING].max()
        predicted = np.clip(biases.predict(holdout), lowest, highest)
        result = {
            GLOBAL_MEAN: baselines.rmse(biases.mean, holdout),
            BIAS_ONLY: baselines.rmse(predicted, holdout),
        }
        folder = artifact_utils.get_single_uri(output_dict[BASELINES_KEY])
        io_utils.write_string_file(os.path.join(folder, BASELINES_FILE), json.dumps(result))


def read(folder: str) -> dict[str, float]:
    """Holdout RMSE by baseline, from the artifact's folder."""
    with open(os.path.join(folder, BASELINES_FILE), encoding="utf-8") as file:
        result: dict[str, float] = json.load(file)
    return result


def _read(examples: list[types.Artifact], *splits: str) -> dict[str, np.ndarray[Any, Any]]:
    patterns = [
        io_utils.all_files_pattern(uri)
        for split in splits
        for uri in artifact_utils.get_split_uris(examples, split)
    ]
    return read_columns(patterns, RATING_COLUMNS)
