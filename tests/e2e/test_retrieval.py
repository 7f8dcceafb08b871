"""Models that are judged by where they rank what is liked: trained, gated, pushed and asked."""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.config.tree import load_config
from pipeline.summary import Summary
from tests.e2e.pipeline_runs import STEPS, Story
from tests.e2e.pushed_models import example, pushed, split_ratings, vocabulary
from tests.movierec.cli.command import COMMAND

# Whole runs of the chain.
pytestmark = pytest.mark.slow

TWO_TOWER = (
    "data.dataset=csv",
    "model.name=two_tower",
    "model.dimension=8",
    "training.batch_size=512",
    "training.learning_rate=0.02",
    "gate.min_gain_over_popularity=0.01",
)
MULTITASK = (
    "data.dataset=csv",
    "model.name=multitask",
    "model.dimension=8",
    "training.batch_size=512",
    "training.learning_rate=0.02",
    "gate.min_gain_over_popularity=-0.05",
    "gate.max_rmse=1.1",
    "gate.min_gain_over_biases=-1",
)
HARDLY_TRAINED = (*TWO_TOWER, "training.epochs=1", "training.learning_rate=0.00001")
LIKED = 4.0


@pytest.fixture(scope="module")
def retrieval_story(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    told = Story(tmp_path_factory.mktemp("retrieval"), cut)
    told.tell("first", *TWO_TOWER)
    told.tell("more asked", *TWO_TOWER, "gate.min_gain_over_popularity=0.9")
    told.tell("worse model", *HARDLY_TRAINED, "gate.min_gain_over_popularity=-1")
    told.tell("a slice asked", *TWO_TOWER, 'gate.slices=["user_activity=0"]')
    told.tell("multitask", *MULTITASK)
    return told


def liked(summary: Summary, *splits: str) -> dict[str, set[str]]:
    found = defaultdict(set)
    for split in splits:
        for user, movie, stars in split_ratings(summary, split):
            if stars >= LIKED:
                found[user].add(movie)
    return found


def figures(order: dict[str, list[str]], relevant: dict[str, set[str]]) -> tuple[float, float]:
    """NDCG@10 and Recall@10 of the movies shown to each user, by definition."""
    ndcg, recall = [], []
    for user, movies in relevant.items():
        gain = sum(
            1 / math.log2(place + 2)
            for place, movie in enumerate(order[user][:10])
            if movie in movies
        )
        ndcg.append(gain / sum(1 / math.log2(place + 2) for place in range(min(10, len(movies)))))
        recall.append(len(movies & set(order[user][:10])) / len(movies))
    return float(np.mean(ndcg)), float(np.mean(recall))


def known_vectors(model) -> np.ndarray:
    """The vectors of the catalogue's movies, without the last row, the unknown movie's."""
    return model.movie_vectors.numpy()[:-1].astype(np.float64)


@pytest.mark.parametrize("name", ["first", "multitask"])
def test_figures_are_those_of_what_the_pushed_model_recommends(
    retrieval_story: Story, name: str
) -> None:
    summary = retrieval_story.runs[name]
    relevant = liked(summary, "holdout")
    users = sorted(relevant)
    model = pushed(summary)
    shown = model.signatures["recommend"](user_id=tf.constant(users), k=tf.constant(10))
    order = {
        user: [movie.decode() for movie in movies]
        for user, movies in zip(users, shown["movie_id"].numpy(), strict=True)
    }
    ndcg, recall = figures(order, relevant)
    assert summary.ranking.ndcg_at_10 == pytest.approx(ndcg, abs=1e-6)
    assert summary.ranking.recall_at_10 == pytest.approx(recall, abs=1e-6)
    assert summary.ranking.liked_rating == LIKED


def test_popularity_is_how_often_a_movie_was_rated(retrieval_story: Story) -> None:
    summary = retrieval_story.runs["first"]
    fitted_on = split_ratings(summary, "train") + split_ratings(summary, "eval")
    movies = vocabulary(summary, "movie_ids")
    counts = Counter(movie for _, movie, _ in fitted_on)
    popular = sorted(movies, key=lambda movie: (-counts[movie], movies.index(movie)))
    users = set(vocabulary(summary, "user_ids"))
    rated = defaultdict(set)
    for user, movie, _ in fitted_on:
        if user in users:
            rated[user].add(movie)
    relevant = liked(summary, "holdout")
    order = {user: [movie for movie in popular if movie not in rated[user]] for user in relevant}
    ndcg, recall = figures(order, relevant)
    assert summary.ranking.popularity_ndcg_at_10 == pytest.approx(ndcg, abs=1e-6)
    assert summary.ranking.popularity_recall_at_10 == pytest.approx(recall, abs=1e-6)


def test_a_model_that_ranks_better_than_popularity_is_pushed(retrieval_story: Story) -> None:
    summary = retrieval_story.runs["first"]
    assert summary.gate.blessed
    assert summary.ranking.ndcg_at_10 > summary.ranking.popularity_ndcg_at_10 + 0.01
    assert "no blessed model to compare with" in summary.gate.reason
    assert summary.rmse is None
    assert {"movie_genres=Drama", "user_activity=1-20"} <= set(summary.slices)
    assert {"movie_genres=Drama"} <= set(summary.slice_errors) <= set(summary.slices)
    assert all(0 <= error < 1 for error in summary.slice_errors.values())


def test_a_model_that_gains_too_little_is_not_pushed(retrieval_story: Story) -> None:
    summary = retrieval_story.runs["more asked"]
    assert set(summary.cached) == STEPS - {"Evaluator", "Gate", "Pusher"}
    assert not summary.gate.blessed
    gain = summary.ranking.ndcg_at_10 - summary.ranking.popularity_ndcg_at_10
    said = f"NDCG@10 less popularity's {gain:.4f} is below gate.min_gain_over_popularity 0.9"
    assert said in summary.gate.reason
    assert retrieval_story.versions["more asked"] == retrieval_story.versions["first"]


def test_a_model_that_ranks_worse_than_the_last_blessed_one_is_not_pushed(
    retrieval_story: Story,
) -> None:
    summary, first = retrieval_story.runs["worse model"], retrieval_story.runs["first"]
    assert not summary.gate.blessed
    assert summary.gate.baseline_ndcg_at_10 == pytest.approx(first.ranking.ndcg_at_10, abs=1e-9)
    change = summary.ranking.ndcg_at_10 - first.ranking.ndcg_at_10
    assert change < -0.01
    said = f"NDCG@10 is {change:+.6f} against the last blessed model's (gate.max_ranking_regression"
    assert said in summary.gate.reason
    assert retrieval_story.versions["worse model"] == retrieval_story.versions["first"]


def test_a_slice_in_which_nothing_can_be_judged_fails(retrieval_story: Story) -> None:
    summary = retrieval_story.runs["a slice asked"]
    assert not summary.gate.blessed
    assert "user_activity=0" in summary.gate.reason


def test_both_tasks_are_judged(retrieval_story: Story) -> None:
    summary = retrieval_story.runs["multitask"]
    assert summary.gate.blessed
    assert summary.rmse.holdout < summary.baselines.global_mean
    assert "is within 1.1" in summary.gate.reason
    assert "NDCG@10" in summary.gate.reason
    # two_tower, blessed before, is judged by other figures.
    assert summary.gate.baseline_ndcg_at_10 is None
    rated = pushed(summary).signatures["predict"](
        user_id=tf.constant(["nobody"]), movie_id=tf.constant(["50"])
    )["rating"]
    assert 1 <= rated.numpy()[0] <= 5


@pytest.mark.parametrize("name", ["first", "multitask"])
def test_only_vectors_are_exported_and_what_rates(retrieval_story: Story, name: str) -> None:
    summary = retrieval_story.runs[name]
    signatures = {"serving_default", "transform_features", "recommend", "recommend_excluding",
                  "recommend_among", "recommend_for_ratings", "similar", "movies", "explain",
                  "explain_for_ratings"}  # fmt: skip
    rates = name == "multitask"
    assert set(pushed(summary).signatures) == signatures | ({"predict"} if rates else set())
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    saved = tf.train.list_variables(str(Path(summary.pushed_model, "variables", "variables")))
    shapes = {key.removesuffix(suffix): shape for key, shape in saved if key.endswith(suffix)}
    users, movies = (len(vocabulary(summary, f"{kind}_ids")) for kind in ("user", "movie"))
    head = {"weight": [9], "user_bias": [users + 1, 1], "movie_bias": [movies + 1, 1]}
    tables = {"user_vectors": [users + 1, 9], "movie_vectors": [movies + 1, 9]}
    if rates:
        tables |= {f"rating_head/{part}": shape for part, shape in head.items()}
    assert {key: shapes.pop(key, None) for key in tables} == tables
    assert set(shapes) == {"movie_ids", "movie_titles", "movie_inverse_norms", "movie_popularity",
                           "seen_movie_index", "seen_row_splits", "seen_ratings/levels",
                           "seen_ratings/level", "user_ids", "genres",
                           "movie_genre_index", "genre_row_splits",
                           "user_rating_counts"}  # fmt: skip


def test_scores_are_the_dots_of_the_exported_vectors(retrieval_story: Story) -> None:
    summary = retrieval_story.runs["first"]
    model = pushed(summary)
    user, movie, _ = split_ratings(summary, "holdout")[0]
    users, movies = (vocabulary(summary, f"{kind}_ids") for kind in ("user", "movie"))
    index = users.index(user) if user in users else len(users)
    dots = known_vectors(model) @ model.user_vectors.numpy()[index]
    found = model.signatures["serving_default"](
        examples=tf.constant([example(user, movie), example("nobody", "no movie")])
    )["score"].numpy()
    assert found[0] == pytest.approx(dots[movies.index(movie)], rel=1e-5)
    assert found[1] == -np.inf


def test_somebody_new_gets_movies_near_those_they_like(retrieval_story: Story) -> None:
    """Their own scores, for the vector that one of Newton's steps gives in float64."""
    summary = retrieval_story.runs["first"]
    model, options = pushed(summary), load_config(None, TWO_TOWER).model
    movies = vocabulary(summary, "movie_ids")
    vectors = known_vectors(model)
    q, b = vectors[:, :-1], vectors[:, -1]
    popularity = np.exp(b) / np.exp(b).sum()
    mean = popularity @ q
    covariance = (q - mean).T @ np.diag(popularity) @ (q - mean)
    rated, stars = [3, 8, 20], [5.0, LIKED, LIKED - 1]
    hessian = 2 * covariance + 2 * 3 * options.l2_embedding * np.eye(options.dimension)
    p = np.linalg.solve(hessian, (q[rated[:2]] - mean).sum(axis=0))
    expected = q @ p + b
    expected[rated] = -np.inf
    found = model.signatures["recommend_for_ratings"](
        movie_id=tf.constant([[movies[movie] for movie in rated]]),
        rating=tf.constant([stars]),
        k=tf.constant(10),
    )
    best = np.sort(expected)[::-1][:10]
    np.testing.assert_allclose(found["score"].numpy()[0], best, rtol=1e-4)
    shown = [movies.index(movie.decode()) for movie in found["movie_id"].numpy()[0]]
    np.testing.assert_allclose(expected[shown], best, rtol=1e-4)


def test_an_unknown_user_gets_the_movies_of_the_highest_bias(retrieval_story: Story) -> None:
    model = pushed(retrieval_story.runs["first"])
    found = model.signatures["recommend"](user_id=tf.constant(["nobody"]), k=tf.constant(100))
    biases = known_vectors(model)[:, -1]
    np.testing.assert_allclose(found["score"].numpy()[0], np.sort(biases)[::-1], rtol=1e-6)


def test_a_pushed_model_can_be_measured_again(retrieval_story: Story) -> None:
    summary = retrieval_story.runs["multitask"]
    command = [*COMMAND, "evaluate", "--json", "--workspace", str(retrieval_story.workspace)]
    measured = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert measured["ndcg"] == pytest.approx(summary.ranking.ndcg_at_10, abs=1e-6)
    assert measured["recall"] == pytest.approx(summary.ranking.recall_at_10, abs=1e-6)
    assert measured["rmse"] == pytest.approx(summary.rmse.holdout, abs=1e-6)

    version = Path(retrieval_story.runs["first"].pushed_model).name
    refused = subprocess.run(
        [*command, "--version", version, "--split", "train"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stderr.startswith("movierec: --split train: two_tower ")
