"""What is pushed has been trained on train and eval together, with the statistics of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.layers.embeddings import normal_vectors
from models.training import history
from pipeline.config.tree import load_config
from tests.e2e.pipeline_runs import run
from tests.e2e.pushed_models import pushed, split_ratings, vocabulary

pytestmark = pytest.mark.slow

SETTINGS = (
    "data.dataset=csv",
    "model.name=collaborative_filtering",
    "training.epochs=15",
    "gate.max_rmse=2",
    "gate.min_gain_over_biases=-1",
)


def test_the_pushed_weights_are_those_of_the_cost_of_both_splits(cut: Path, tmp_path: Path) -> None:
    """NumPy in float64: gradient steps by Adam on J / n, from the same initial vectors."""
    summary = run(tmp_path, cut, *SETTINGS)
    config = load_config(None, SETTINGS)
    l2, rate, dimension = (
        config.model.l2_embedding,
        config.training.learning_rate,
        config.model.dimension,
    )
    users, movies = vocabulary(summary, "user_ids"), vocabulary(summary, "movie_ids")
    both = [
        (users.index(user), movies.index(movie), stars)
        for split in ("train", "eval")
        for user, movie, stars in split_ratings(summary, split)
        if user in users and movie in movies
    ]
    j, i, r = (np.array(column) for column in zip(*both, strict=True))
    mean = np.array(
        [r[i == movie].mean() if (i == movie).any() else r.mean() for movie in range(len(movies))]
    )
    (run_folder,) = tmp_path.glob("artifacts/Trainer/model_run/*")

    x, w = (
        np.float64(
            normal_vectors(
                known, dimension, config.model.init_stddev, [config.training.seed, place]
            )[:-1]
        )
        for place, known in enumerate((len(movies), len(users)))
    )
    tables = [x, w, np.zeros((len(users), 1))]
    first, second = ([np.zeros_like(table) for table in tables] for _ in range(2))
    for step in range(1, history.read(str(run_folder)).best_epoch + 1):
        x, w, b = tables
        error = (np.sum(w[j] * x[i], axis=1) + b[j, 0] + mean[i] - r)[:, np.newaxis]
        gradients = [l2 * x, l2 * w, np.zeros_like(b)]
        np.add.at(gradients[0], i, error * w[j])
        np.add.at(gradients[1], j, error * x[i])
        np.add.at(gradients[2], j, error)
        for at, gradient in enumerate(gradients):
            first[at] += 0.1 * (gradient / len(r) - first[at])
            second[at] += 0.001 * ((gradient / len(r)) ** 2 - second[at])
            root = np.sqrt(second[at] / (1 - 0.999**step))
            tables[at] -= rate * first[at] / (1 - 0.9**step) / (root + 1e-7)

    x, w, b = tables
    asked = [(user, movie) for user in range(len(users)) for movie in range(0, len(movies), 7)]
    user, movie = np.array(asked).T
    rating = pushed(summary).signatures["predict"](
        user_id=tf.constant(np.array(users)[user]), movie_id=tf.constant(np.array(movies)[movie])
    )["rating"]
    expected = np.clip(np.sum(w[user] * x[movie], axis=1) + b[user, 0] + mean[movie], 1, 5)
    np.testing.assert_allclose(rating, expected, atol=2e-3)
