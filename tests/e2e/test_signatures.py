"""The exported signatures against NumPy, from the exported weights and the ratings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.e2e.conftest import Story
from tests.e2e.test_story import split_ratings

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass
class Exported:
    """Weights in float64, ids in the order of the tables, and the ratings trained on."""

    weights: dict[str, np.ndarray]
    users: list[str]
    movies: list[str]
    rated: dict[str, set[str]]

    def scores(self, user: str) -> np.ndarray:
        """Unclipped ratings of all movies; for an unknown user mean and movie bias."""
        w = self.weights
        u = self.users.index(user) if user in self.users else len(self.users)
        known = len(self.movies)
        dots = w["movie_embedding"][:known] @ w["user_embedding"][u]
        return w["offset"] + w["user_bias"][u, 0] + w["movie_bias"][:known, 0] + dots

    def score(self, user: str, movie: str) -> float:
        if movie in self.movies:
            return float(self.scores(user)[self.movies.index(movie)])
        u = self.users.index(user) if user in self.users else len(self.users)
        return float(self.weights["offset"] + self.weights["user_bias"][u, 0])


@pytest.fixture(scope="module")
def model(story: Story) -> tf.types.experimental.ConcreteFunction:
    return tf.saved_model.load(story.runs["trained anew"].pushed_model)


@pytest.fixture(scope="module")
def exported(story: Story) -> Exported:
    folder = Path(str(story.runs["trained anew"].pushed_model))
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    names = ("offset", "user_bias", "movie_bias", "user_embedding", "movie_embedding")
    weights = {
        name: np.asarray(reader.get_tensor(f"model/{name}{SUFFIX}"), np.float64) for name in names
    }
    movies = [value.decode() for value in reader.get_tensor(f"movie_ids{SUFFIX}")]
    lines = (folder / "assets" / "user_vocabulary").read_text().splitlines()
    rated = defaultdict(set)
    summary = story.runs["trained anew"]
    for user, movie, _ in split_ratings(summary, "train") + split_ratings(summary, "eval"):
        rated[user].add(movie)
    return Exported(weights, [line.split(" ")[1] for line in lines], movies, rated)


def recommend(model, users: list[str], k: int) -> dict[str, np.ndarray]:
    found = model.signatures["recommend"](user_id=tf.constant(users, tf.string), k=tf.constant(k))
    return {name: value.numpy() for name, value in found.items()}


def test_predict_follows_the_definition(model, exported: Exported, story: Story) -> None:
    pairs = [pair[:2] for pair in split_ratings(story.runs["first"], "holdout")]
    pairs += [("nobody", exported.movies[0]), (exported.users[0], "no movie"), ("nobody", "none")]
    users, movies = zip(*pairs, strict=True)
    predicted = model.signatures["predict"](
        user_id=tf.constant(users), movie_id=tf.constant(movies)
    )["rating"].numpy()
    stars = [stars for _, _, stars in split_ratings(story.runs["first"], "train")]
    expected = [exported.score(user, movie) for user, movie in pairs]
    np.testing.assert_allclose(predicted, np.clip(expected, min(stars), max(stars)), atol=2e-6)


def test_serving_default_takes_serialized_examples(model, exported: Exported) -> None:
    example = tf.train.Example()
    example.features.feature["user_id"].bytes_list.value.append(exported.users[3].encode())
    example.features.feature["movie_id"].bytes_list.value.append(exported.movies[5].encode())
    found = model.signatures["serving_default"](
        examples=tf.constant([example.SerializeToString()] * 2)
    )
    assert set(found) == {"rating"}
    expected = np.clip(exported.score(exported.users[3], exported.movies[5]), 1, 5)
    np.testing.assert_allclose(found["rating"], [expected] * 2, atol=2e-6)


@pytest.mark.parametrize("k", [1, 10, 100])
def test_recommend_ranks_what_was_not_rated(model, exported: Exported, k: int) -> None:
    users = [*exported.users[:20], "nobody"]
    found = recommend(model, users, k)
    for row, user in enumerate(users):
        scores = exported.scores(user)
        unseen = [i for i, movie in enumerate(exported.movies) if movie not in exported.rated[user]]
        best = sorted(unseen, key=lambda i: -scores[i])[:k]
        filled = found["score"][row][: len(best)]
        np.testing.assert_allclose(filled, scores[best], atol=1e-5)
        ids = [value.decode() for value in found["movie_id"][row] if value]
        assert len(ids) == len(best)
        assert not set(ids) & exported.rated[user]
        by_id = [scores[exported.movies.index(movie)] for movie in ids]
        np.testing.assert_allclose(by_id, scores[best], atol=1e-5)
        assert np.isneginf(found["score"][row][len(best) :]).all()


def test_recommend_gives_titles(model, exported: Exported, story: Story) -> None:
    found = recommend(model, [exported.users[0]], 5)
    lines = (story.data / "movies.csv").read_text(encoding="utf-8")
    for movie, title in zip(found["movie_id"][0], found["movie_title"][0], strict=True):
        assert f'\n{movie.decode()},"{title.decode()}",' in lines


def test_k_is_bounded_by_the_catalogue_and_may_be_zero(model, exported: Exported) -> None:
    assert recommend(model, ["nobody"], 10_000)["movie_id"].shape == (1, len(exported.movies))
    assert recommend(model, ["nobody"], 0)["movie_id"].shape == (1, 0)
    assert recommend(model, ["nobody"], -5)["movie_id"].shape == (1, 0)
    assert recommend(model, [], 3)["movie_id"].shape == (0, 3)


def test_the_unknown_get_finite_answers(model, exported: Exported) -> None:
    odd = ["nobody", "", "1 OR 1", "ünïcode", "x" * 10_000]
    for movie in (exported.movies[0], "no movie"):
        predicted = model.signatures["predict"](
            user_id=tf.constant(odd), movie_id=tf.constant([movie] * len(odd))
        )["rating"].numpy()
        assert np.isfinite(predicted).all()
    assert np.isfinite(recommend(model, odd, 10)["score"]).all()
