"""The exported signatures against NumPy, from the exported weights and the ratings."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.config.tree import load_config
from tests.e2e.pipeline_runs import SMALL, Story
from tests.e2e.pushed_models import pushed, split_ratings, vocabulary

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass
class Exported:
    """Weights in float64, ids in the order of the tables, and the ratings trained on.

    The vectors are p_u, μ + b_u, 1 and q_i, 1, b_i; of an unknown user, b_u is zero. The
    popularity is what `recommend` adds to the rating of each movie.
    """

    weights: dict[str, np.ndarray]
    users: list[str]
    movies: list[str]
    rated: dict[str, set[str]]
    popularity: np.ndarray

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
def model(first_run: Story) -> tf.types.experimental.ConcreteFunction:
    return pushed(first_run.runs["first"])


@pytest.fixture(scope="module")
def exported(first_run: Story) -> Exported:
    folder = Path(str(first_run.runs["first"].pushed_model))
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    users, movies = (
        reader.get_tensor(f"{kind}_vectors{SUFFIX}").astype(np.float64)
        for kind in ("user", "movie")
    )
    weights = {
        "offset": users[-1, -2],
        "user_bias": users[:, -2:-1] - users[-1, -2],
        "movie_bias": movies[:, -1:],
        "user_embedding": users[:, :-2],
        "movie_embedding": movies[:, :-2],
    }
    movie_ids = [value.decode() for value in reader.get_tensor(f"movie_ids{SUFFIX}")]
    rated = defaultdict(set)
    summary = first_run.runs["first"]
    user_ids, counts, known_stars = vocabulary(summary, "user_ids"), Counter(), []
    for user, movie, stars in split_ratings(summary, "train") + split_ratings(summary, "eval"):
        rated[user].add(movie)
        if user in user_ids and movie in movie_ids:
            counts[movie] += 1
            known_stars.append(stars)
    logarithms = np.log([1 + counts[movie] for movie in movie_ids])
    return Exported(weights, user_ids, movie_ids, rated, np.std(known_stars) * logarithms)


def test_nothing_of_the_training_is_exported(first_run: Story) -> None:
    summary = first_run.runs["first"]
    folder = Path(str(summary.pushed_model), "variables")
    saved = tf.train.list_variables(str(folder / "variables"))
    sizes = {name.removesuffix(SUFFIX): shape for name, shape in saved if name.endswith(SUFFIX)}
    assert set(sizes) == {
        *("user_vectors", "movie_vectors", "movie_ids", "movie_titles", "movie_inverse_norms"),
        *("movie_popularity", "seen_movie_index", "seen_row_splits"),
        *("seen_ratings/levels", "seen_ratings/level"),
        *("genres", "movie_genre_index", "genre_row_splits"),
        *("user_ids", "user_rating_counts", "movie_offsets", "user_factors"),
    }
    dimension = load_config(None, SMALL).model.dimension
    users, movies = len(vocabulary(summary, "user_ids")), sizes["movie_ids"][0]
    assert sizes["user_rating_counts"] == [users + 1]
    assert sizes["user_vectors"] == [users + 1, dimension + 2]
    assert sizes["movie_vectors"] == [movies + 1, dimension + 2]


def recommend(model, users: list[str], k: int) -> dict[str, np.ndarray]:
    found = model.signatures["recommend"](user_id=tf.constant(users, tf.string), k=tf.constant(k))
    return {name: value.numpy() for name, value in found.items()}


def test_predict_follows_the_definition(model, exported: Exported, first_run: Story) -> None:
    pairs = [pair[:2] for pair in split_ratings(first_run.runs["first"], "holdout")]
    pairs += [("nobody", exported.movies[0]), (exported.users[0], "no movie"), ("nobody", "none")]
    users, movies = zip(*pairs, strict=True)
    predicted = model.signatures["predict"](
        user_id=tf.constant(users), movie_id=tf.constant(movies)
    )["rating"].numpy()
    stars = [stars for _, _, stars in split_ratings(first_run.runs["first"], "train")]
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
        ratings = exported.scores(user)
        scores = ratings + exported.popularity
        unseen = [i for i, movie in enumerate(exported.movies) if movie not in exported.rated[user]]
        best = sorted(unseen, key=lambda i: -scores[i])[:k]
        filled = found["score"][row][: len(best)]
        np.testing.assert_allclose(filled, scores[best], atol=1e-5)
        ids = [value.decode() for value in found["movie_id"][row] if value]
        assert len(ids) == len(best)
        assert not set(ids) & exported.rated[user]
        by_id = [scores[exported.movies.index(movie)] for movie in ids]
        np.testing.assert_allclose(by_id, scores[best], atol=1e-5)
        stars = np.clip(ratings[best], 1, 5)
        np.testing.assert_allclose(found["rating"][row][: len(best)], stars, atol=1e-5)
        for name in ("score", "rating"):
            assert np.isneginf(found[name][row][len(best) :]).all()


def test_recommend_gives_titles(model, exported: Exported, first_run: Story) -> None:
    found = recommend(model, [exported.users[0]], 5)
    lines = (first_run.data / "movies.csv").read_text(encoding="utf-8")
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


def answers(found: dict[str, tf.Tensor]) -> list[list[tuple[str, float]]]:
    """Movies and scores, row by row, without the padding."""
    return [
        [(movie.decode(), float(score)) for movie, score in zip(*row, strict=True) if movie]
        for row in zip(found["movie_id"].numpy(), found["score"].numpy(), strict=True)
    ]


def assert_ranked(found: list[tuple[str, float]], expected: dict[str, float], k: int) -> None:
    """The k highest of the expected scores, highest first."""
    assert len({movie for movie, _ in found}) == len(found) == min(k, len(expected))
    best = sorted(expected.values(), reverse=True)[:k]
    np.testing.assert_allclose([score for _, score in found], best, atol=1e-5)
    np.testing.assert_allclose([expected[movie] for movie, _ in found], best, atol=1e-5)


def test_recommend_excluding_leaves_out_more(model, exported: Exported) -> None:
    user, k = exported.users[2], 7
    (first,) = answers(model.signatures["recommend"](user_id=tf.constant([user]), k=tf.constant(k)))
    excluded = [first[0][0], first[3][0], "no movie", ""]
    found = model.signatures["recommend_excluding"](
        user_id=tf.constant([user, "nobody"]),
        k=tf.constant(k),
        exclude=tf.constant([excluded, [""] * 4]),
    )
    for name, row, left_out in zip((user, "nobody"), answers(found), (excluded, []), strict=True):
        ranked_by = exported.scores(name) + exported.popularity
        scores = zip(exported.movies, ranked_by, strict=True)
        rated = exported.rated[name] | set(left_out)
        assert_ranked(row, {movie: score for movie, score in scores if movie not in rated}, k)


def test_similar_movies_have_the_highest_cosine(model, exported: Exported) -> None:
    asked = [exported.movies[4], "no movie", exported.movies[90]]
    found = answers(model.signatures["similar"](movie_id=tf.constant(asked), k=tf.constant(6)))
    assert found[1] == []
    vectors = exported.weights["movie_embedding"][: len(exported.movies)]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for movie, row in ((asked[0], found[0]), (asked[2], found[2])):
        cosines = zip(exported.movies, vectors @ vectors[exported.movies.index(movie)], strict=True)
        assert_ranked(row, {other: cosine for other, cosine in cosines if other != movie}, 6)


def test_recommend_for_ratings_is_a_ridge_regression(model, exported: Exported) -> None:
    """On the exported vectors of the rated movies, with the penalties of the training."""
    options = load_config(None, SMALL).model
    rows = [[("3", 5.0), ("0", 1.0), ("7", 4.0)], [("11", 2.0), ("", 0.0), ("no movie", 5.0)]]
    rated = [
        [(exported.movies[int(place)] if place.isdigit() else place, stars) for place, stars in row]
        for row in rows
    ]
    found = model.signatures["recommend_for_ratings"](
        movie_id=tf.constant([[movie for movie, _ in row] for row in rated]),
        rating=tf.constant([[stars for _, stars in row] for row in rated], tf.float32),
        k=tf.constant(12),
    )
    w, known = exported.weights, len(exported.movies)
    q, b = w["movie_embedding"][:known], w["movie_bias"][:known, 0]
    for row, answer in zip(rated, answers(found), strict=True):
        pairs = [(exported.movies.index(m), s) for m, s in row if m in exported.movies]
        index, stars = (np.array(values) for values in zip(*pairs, strict=True))
        x = np.concatenate([q[index], np.ones((len(index), 1))], axis=1)
        penalty = [options.l2_embedding] * options.dimension + [options.l2_bias]
        gram = x.T @ x + len(index) * np.diag(penalty)
        *p, bias = np.linalg.solve(gram, x.T @ (stars - w["offset"] - b[index]))
        scores = w["offset"] + bias + b + q @ np.array(p) + exported.popularity
        mine = {movie for movie, _ in row}
        left = {m: s for m, s in zip(exported.movies, scores, strict=True) if m not in mine}
        assert_ranked(answer, left, 12)


def test_who_rated_nothing_gets_what_an_unknown_user_gets(model) -> None:
    k = tf.constant(5)
    for width in (0, 2):
        found = model.signatures["recommend_for_ratings"](
            movie_id=tf.fill([1, width], ""), rating=tf.zeros([1, width]), k=k
        )
        unknown = model.signatures["recommend"](user_id=tf.constant(["nobody"]), k=k)
        assert found["movie_id"].numpy().tolist() == unknown["movie_id"].numpy().tolist()


@pytest.mark.parametrize(
    ("signature", "inputs", "reason"),
    [
        (
            "recommend",
            {"user_id": ["a"] * 20_000, "k": 100},
            r"at most 1000000 rows times k, given\] \[2000000\]",
        ),
        (
            "recommend",
            {"user_id": ["a"] * 1_000_001, "k": 0},
            r"at most 100000000 rows times the 100 movies of the catalogue, given\] \[100000100\]",
        ),
        ("predict", {"user_id": ["a"], "movie_id": ["b", "c"]}, "as many rows"),
        ("recommend_excluding", {"user_id": ["a"], "k": 1, "exclude": [["b"]] * 2}, "as many rows"),
        (
            "recommend_for_ratings",
            {"movie_id": [["a", "b"]], "rating": [[1.0]], "k": 1},
            "as long where both are",
        ),
        (
            "recommend_for_ratings",
            {"movie_id": [["a"]], "rating": [[float("nan")]], "k": 1},
            r"rating of finite numbers, given\] \[\[nan\]\]",
        ),
        (
            "recommend_for_ratings",
            {"movie_id": [["a"] * 10_001], "rating": [[1.0] * 10_001], "k": 1},
            r"at most 10000 ratings in a row, given\] \[10001\]",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(model, signature: str, inputs, reason: str) -> None:
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
        model.signatures[signature](**tensors)


@pytest.mark.slow
def test_only_the_newest_that_a_user_rated_are_left_out(sequel: Story) -> None:
    """`export.max_seen_per_user` of that run is 9."""
    summary = sequel.runs["split by time"]
    rated = defaultdict(list)
    with (sequel.data / "ratings.csv").open() as file:
        for row in csv.DictReader(file):
            rated[row["userId"]].append((int(row["timestamp"]) // 60, row["movieId"]))
    held_back = {(user, movie) for user, movie, _ in split_ratings(summary, "holdout")}
    user = max(rated, key=lambda user: len(rated[user]))
    mine = sorted((time, movie) for time, movie in rated[user] if (user, movie) not in held_back)
    time_of = {movie: time for time, movie in mine}

    model = pushed(summary)
    found = recommend(model, [user], 1_000)
    shown = {movie.decode() for movie in found["movie_id"][0] if movie}
    left_out = set(time_of) - shown
    assert len(mine) > len(left_out) == 9
    assert min(time_of[movie] for movie in left_out) >= max(
        time_of[movie] for movie in set(time_of) & shown
    )
