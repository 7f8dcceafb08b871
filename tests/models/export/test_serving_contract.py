"""What an exported model promises a model server: whatever it is asked, it does not crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.export.sample_requests import inputs_for
from tests.models.export.exported_models import COUNTS, USER_IDS, recommender_of
from tests.models.factories import trained_like


def test_activity_is_the_slice_of_the_number_of_ratings_in_train(
    rng: np.random.Generator,
) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    users = [name.encode() for name in [*USER_IDS, "nobody"]]
    examples = inputs_for("transform_features", users, [b"m1"] * len(users))["examples"]
    found = recommender.transform_examples(tf.constant(examples))
    expected = {20: "1-20", 21: "21-50", 50: "21-50", 51: "51-100", 200: "101-200", 201: "201+"}
    assert found["user_activity"].numpy().astype(str).tolist() == [
        *(expected[count] for count in COUNTS),
        "0",
    ]


# svdpp has all signatures of models that predict ratings but predict_interval.
@pytest.mark.parametrize("name", ["svdpp", pytest.param("two_tower", marks=pytest.mark.slow)])
def test_a_tensor_of_any_rank_and_dtype_is_refused_and_aborts_nothing(
    exported_model: Callable[[str], Path], name: str
) -> None:
    """TensorFlow Serving checks neither rank nor shape before it runs the graph.

    A process of its own is asked, since an abort would end it.
    """
    command = [sys.executable, "-m", "tests.models.export.exported_models"]
    result = subprocess.run(
        [*command, str(exported_model(name))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        cwd=Path(__file__).parents[3],
    )
    assert result.returncode == 0, result.stderr[-2000:]
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    asked = {row[0] for row in rows}
    assert len(asked) >= 6
    assert ({"recommend_for_profile", "predict_new_movie"} <= asked) == (name == "svdpp")
    ranks = {"examples": 1, "user_id": 1, "k": 0, "exclude": 2, "rating": 2}
    ranks |= {"among_movies": 2, "among_genres": 2, "movie_genres": 2}
    for signature, key, right_dtype, shape, outcome in rows:
        lists = signature.endswith("_for_ratings")
        rank = 2 if key == "movie_id" and lists else ranks.get(key, 1)
        if len(shape) != rank or not right_dtype:
            assert outcome == "InvalidArgumentError", (signature, key, shape)
        else:
            assert outcome in {"OK", "InvalidArgumentError"}, (signature, key, shape)
