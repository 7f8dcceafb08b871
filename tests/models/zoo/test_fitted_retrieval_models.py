"""EASE and iALS against their definitions, by NumPy in float64."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import tensorflow as tf

from models.columns import Columns
from models.layers import row_systems
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics, measure
from models.zoo.ease import EASE
from models.zoo.ials import ImplicitALS

USERS, MOVIES, LIKED = 30, 12, 4.0
GRADES = {1: 0.0, 2: 0.1, 3: 0.4, 4: 0.9, 5: 1.0}
# They rated something, and nothing that counts as a choice.
UNCHOOSING = 7


def ratings(rng: np.random.Generator) -> Columns:
    """Each pair at most once; the ratings of one user are all the lowest."""
    pairs = rng.permutation(USERS * MOVIES)[:150]
    user = (pairs // MOVIES).astype(np.int32)
    stars = rng.integers(1, 6, len(pairs)).astype(np.float32)
    stars[user == UNCHOOSING] = 1
    order = np.argsort(user, kind="stable")
    movie = (pairs % MOVIES).astype(np.int32)
    return {"user_index": user[order], "movie_index": movie[order], "rating": stars[order]}


def measured(columns: Columns) -> RatingStatistics:
    return measure(columns, USERS, MOVIES)


def weights(columns: Columns, choice_weight: str) -> np.ndarray:
    """The choice weights, float64 `[users, movies]`."""
    matrix = np.zeros((USERS, MOVIES))
    for user, movie, stars in zip(*columns.values(), strict=True):
        liked = float(stars >= LIKED)
        matrix[user, movie] = liked if choice_weight == "liked" else GRADES[int(stars)]
    return matrix


def fitted(name: str, columns: Columns, epochs: int = 1, **changes: object) -> tuple:
    """The model after some epochs, and the losses."""
    kind = {"ease": EASE, "ials": ImplicitALS}[name]
    options = ModelOptions.model_validate({"name": name, **changes})
    model = kind(measured(columns), options, seed=3)
    return model, list(islice(model.fit(columns, 1), epochs))


def scores(model: EASE | ImplicitALS) -> np.ndarray:
    return model.user_vectors().numpy() @ model.movie_vectors().numpy().T


@pytest.mark.parametrize("choice_weight", ["liked", "graded"])
@pytest.mark.parametrize("dimension", [MOVIES, MOVIES + 3])
def test_ease_is_the_closed_form_for_movies_that_the_user_did_not_rate(
    rng: np.random.Generator, choice_weight: str, dimension: int
) -> None:
    columns = ratings(rng)
    x, l2 = weights(columns, choice_weight), 2.5
    inverse = np.linalg.inv(x.T @ x + l2 * np.eye(MOVIES))
    b = -inverse / np.diag(inverse)
    np.fill_diagonal(b, 0)
    model, (loss,) = fitted(
        "ease", columns, dimension=dimension, l2_embedding=l2, choice_weight=choice_weight
    )
    chose = x.sum(axis=1) > 0
    unrated = x == 0
    unrated[~chose] = False
    np.testing.assert_allclose(scores(model)[:-1, :-1][unrated], (x @ b)[unrated], atol=2e-6)
    expected = (np.sum((x - x @ b) ** 2) + l2 * np.sum(b**2)) / len(columns["rating"])
    assert loss == pytest.approx(expected, rel=1e-6)


def test_ease_of_a_lower_dimension_keeps_the_largest_directions(rng: np.random.Generator) -> None:
    columns, l2, kept = ratings(rng), 2.5, 4
    x = weights(columns, "graded")
    _, singular, rows = np.linalg.svd(x, full_matrices=False)
    w = rows.T * np.sqrt(singular**2 / (singular**2 + l2))
    model, _ = fitted("ease", columns, dimension=kept, l2_embedding=l2, choice_weight="graded")
    expected = x @ w[:, :kept] @ w[:, :kept].T / (1 - np.sum(w**2, axis=1))
    chose = x.sum(axis=1) > 0
    np.testing.assert_allclose(scores(model)[:-1, :-1][chose], expected[chose], atol=2e-6)


def test_ease_reads_large_data_in_parts(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ratings(rng)
    whole, _ = fitted("ease", columns, dimension=MOVIES, l2_embedding=2.5)
    monkeypatch.setattr("models.zoo.ease._ENTRIES_AT_ONCE", 7 * MOVIES)
    parts, _ = fitted("ease", columns, dimension=MOVIES, l2_embedding=2.5)
    np.testing.assert_allclose(scores(parts), scores(whole), atol=1e-6)


def test_a_catalogue_whose_square_does_not_fit_is_refused_in_one_line(
    rng: np.random.Generator,
) -> None:
    statistics = measure(ratings(rng), USERS, 10_000)
    with pytest.raises(ValueError, match=r"2,289 MiB .* 10,000 movies") as caught:
        EASE(statistics, ModelOptions(name="ease", memory_limit=2288), seed=1)
    assert "\n" not in str(caught.value)
    EASE(statistics, ModelOptions(name="ease", memory_limit=2289, dimension=1), seed=1)


def numpy_ials(
    x: np.ndarray, q: np.ndarray, epochs: int, gravity: float, l2: float
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The definition: normal equations, row by row."""

    def solved(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        found = []
        for weight in rows:
            penalty = l2 * (weight.sum() + gravity * len(others)) * np.eye(others.shape[1])
            matrix = (others.T * weight) @ others + gravity * others.T @ others + penalty
            found.append(np.linalg.solve(matrix, others.T @ weight))
        return np.array(found)

    losses = []
    for _ in range(epochs):
        p = solved(x, q)
        q = solved(x.T, p)
        s = p @ q.T
        penalty = (x.sum(axis=1) + gravity * MOVIES) @ np.sum(p**2, axis=1)
        penalty += (x.sum(axis=0) + gravity * USERS) @ np.sum(q**2, axis=1)
        losses.append(np.sum(x * (1 - s) ** 2) + gravity * np.sum(s**2) + l2 * penalty)
    return p, q, losses


@pytest.mark.parametrize("choice_weight", ["liked", "graded"])
@pytest.mark.parametrize("at_once", [1, 40, 1 << 17])
def test_ials_is_alternating_least_squares(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, choice_weight: str, at_once: int
) -> None:
    monkeypatch.setattr(row_systems, "_VECTORS_AT_ONCE", at_once)
    columns = ratings(rng)
    chosen = {"dimension": 4, "gravity": 0.2, "l2_embedding": 0.3, "choice_weight": choice_weight}
    start, _ = fitted("ials", columns, epochs=0, init_stddev=0.5, **chosen)
    model, losses = fitted("ials", columns, epochs=3, init_stddev=0.5, **chosen)
    x = weights(columns, choice_weight)
    p, q, expected = numpy_ials(
        x, start.movie_embedding.numpy()[:-1].astype(np.float64), 3, gravity=0.2, l2=0.3
    )
    chose = x.sum(axis=1) > 0
    np.testing.assert_allclose(scores(model)[:-1, :-1][chose], (p @ q.T)[chose], atol=1e-5)
    np.testing.assert_allclose(np.array(losses) * len(columns["rating"]), expected, rtol=1e-5)
    assert expected[0] > expected[1] > expected[2]


@pytest.mark.parametrize("name", ["ease", "ials"])
def test_who_chose_nothing_is_the_average_of_those_who_chose(
    rng: np.random.Generator, name: str
) -> None:
    columns = ratings(rng)
    model, _ = fitted(name, columns, dimension=4, choice_weight="graded")
    vectors = model.user_vectors().numpy()
    chose = weights(columns, "graded").sum(axis=1) > 0
    assert not chose[UNCHOOSING]
    mean = vectors[:-1][chose].mean(axis=0)
    for user in (UNCHOOSING, USERS):
        np.testing.assert_allclose(vectors[user], mean, atol=1e-6)
    fold_in = model.fold_in()
    movies = tf.gather(model.movie_vectors(), [[0, 1]])
    for stars, known in (([1.0, 1.0], [True, True]), ([5.0, 5.0], [False, False])):
        found = fold_in(movies, tf.constant([stars]), tf.constant([known]))
        np.testing.assert_allclose(found[0], mean, atol=1e-6)


def of_user(columns: Columns, user: int) -> tuple[np.ndarray, np.ndarray]:
    own = columns["user_index"] == user
    return columns["movie_index"][own], columns["rating"][own]


def test_the_fold_in_of_ease_gives_a_users_own_vector(rng: np.random.Generator) -> None:
    columns = ratings(rng)
    model, _ = fitted("ease", columns, dimension=5, l2_embedding=2.5, choice_weight="graded")
    for user in (0, 11):
        movies, stars = of_user(columns, user)
        vectors = tf.gather(model.movie_vectors(), movies[np.newaxis])
        found = model.fold_in()(vectors, stars[np.newaxis], tf.ones([1, len(stars)], tf.bool))
        np.testing.assert_allclose(found[0], model.user_vectors()[user], atol=1e-6)


def test_the_fold_in_of_ials_is_the_step_for_one_user(rng: np.random.Generator) -> None:
    columns = ratings(rng)
    model, _ = fitted("ials", columns, 2, dimension=4, gravity=0.2, choice_weight="graded")
    q = model.movie_embedding.numpy()[:-1].astype(np.float64)
    movies, stars = of_user(columns, 3)
    weight = np.array([GRADES[int(one)] for one in stars])
    penalty = 0.08 * (weight.sum() + 0.2 * MOVIES) * np.eye(4)
    matrix = (q[movies].T * weight) @ q[movies] + 0.2 * q.T @ q + penalty
    vectors = tf.gather(model.movie_vectors(), movies[np.newaxis])
    found = model.fold_in()(vectors, stars[np.newaxis], tf.ones([1, len(stars)], tf.bool))
    np.testing.assert_allclose(found[0], np.linalg.solve(matrix, q[movies].T @ weight), rtol=1e-4)
