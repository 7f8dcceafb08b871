"""Blocked top-k against sorting all scores; whole numbers, so that ties are many and exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

from models.export import top_k as top_k_module
from models.export.allow_list import AllowList
from models.export.top_k import Offsets, top_k

DIMENSION = 6


@pytest.fixture(params=[(8, 16), (1, 1), (1_024, 8_192)])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, movies = request.param
    monkeypatch.setattr(top_k_module, "QUERIES_AT_ONCE", queries)
    monkeypatch.setattr(top_k_module, "MOVIES_AT_ONCE", movies)


def expected(
    queries: np.ndarray, vectors: np.ndarray, excluded: list[list[int]], k: int, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    scores = (queries.astype(np.float64) @ vectors.T) * scale
    for row, movies in enumerate(excluded):
        scores[row, [movie for movie in movies if 0 <= movie < len(vectors)]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, : max(0, k)]
    return np.take_along_axis(scores, order, axis=1), order


# Traced once for any number of users, as in an exported model.
QUERIES = tf.TensorSpec([None, DIMENSION], tf.float32)
RAGGED = tf.RaggedTensorSpec([None, None], tf.int32)
USERS = (0, 1, 21)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("movies", [1, 16, 50])
def test_the_best_of_an_allow_list_are_found_in_order(
    rng: np.random.Generator, movies: int
) -> None:
    vectors = rng.integers(-3, 4, (movies, DIMENSION)).astype(np.float32)
    genres = [sorted(rng.choice(4, rng.integers(0, 3), replace=False)) for _ in range(movies)]
    flat = np.array([genre for row in genres for genre in row], np.int32)
    lengths = np.array([len(row) for row in genres], np.int64)
    of_movies = tf.RaggedTensor.from_row_lengths(flat, lengths)

    @tf.function(
        input_signature=[
            QUERIES,
            RAGGED,
            tf.TensorSpec([None, 3], tf.int32),
            tf.TensorSpec([None, 4], tf.float32),
            tf.TensorSpec([], tf.int32),
        ],
        autograph=False,
    )
    def compiled(queries, nothing, named, flags, k):
        allow_list = AllowList(named, flags, of_movies)
        return top_k(queries, tf.constant(vectors), movies, nothing, k, None, allow_list)

    for users in USERS:
        queries = rng.integers(-3, 4, (users, DIMENSION)).astype(np.float32)
        named = rng.integers(-2, movies + 3, (users, 3)).astype(np.int32)
        flags = (rng.random((users, 4)) < 0.3).astype(np.float32)
        forbidden = [
            [
                movie
                for movie in range(movies)
                if movie not in named[user] and not flags[user, genres[movie]].any()
            ]
            for user in range(users)
        ]
        for k in (0, 1, 10, 1_000):
            found, index = compiled(queries, ragged([[]] * users), named, flags, tf.constant(k))
            best, order = expected(queries, vectors, forbidden, k, np.ones(movies))
            np.testing.assert_array_equal(found, best)
            allowed = np.isfinite(best)
            np.testing.assert_array_equal(index.numpy()[allowed], order[allowed])


def ragged(rows: Sequence[Sequence[int]]) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_lengths(
        np.array([movie for row in rows for movie in row], np.int32),
        np.array([len(row) for row in rows], np.int64),
    )


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("movies", [1, 16, 50])
def test_the_best_are_found_in_order(rng: np.random.Generator, movies: int, scaled: bool) -> None:
    vectors = rng.integers(-3, 4, (movies, DIMENSION)).astype(np.float32)
    # What comes after the movies would be the first of all.
    table = tf.Variable(np.concatenate([vectors, np.full((2, DIMENSION), 1e9, np.float32)]))
    scale = rng.integers(0, 3, movies).astype(np.float32) if scaled else None

    @tf.function(input_signature=[QUERIES, RAGGED, tf.TensorSpec([], tf.int32)], autograph=False)
    def compiled(queries, excluded, k):
        factors = None if scale is None else tf.constant(scale)
        return top_k(queries, table, movies, excluded, k, factors)

    for users in USERS:
        queries = rng.integers(-3, 4, (users, DIMENSION)).astype(np.float32)
        excluded = [
            list(rng.integers(-1, movies + 3, rng.integers(0, movies + 1))) for _ in queries
        ]
        for k in (-1, 0, 1, 10, 1_000):
            found, index = compiled(queries, ragged(excluded), tf.constant(k))
            best, order = expected(
                queries, vectors, excluded, k, np.ones(movies) if scale is None else scale
            )
            np.testing.assert_array_equal(found, best)
            np.testing.assert_array_equal(index, order)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("users", [0, 1, 21])
def test_offsets_are_added_to_scores_that_are_not_linear(
    rng: np.random.Generator, users: int
) -> None:
    whole = [
        rng.integers(-3, 4, shape).astype(np.float32)
        for shape in ((users, DIMENSION), (50, DIMENSION), (50,), (users,))
    ]
    queries, vectors, offsets, factors = map(tf.constant, whole)
    excluded = tf.RaggedTensor.from_row_lengths(
        tf.tile(tf.constant([7, 20], tf.int32), [users]), [2] * users
    )
    compiled = tf.function(
        lambda k: top_k(
            queries, vectors, 50, excluded, k, offsets=Offsets(tf.square, offsets, factors)
        ),
        autograph=False,
    )
    scores = (whole[0] @ whole[1].T).astype(np.float64) ** 2 + np.outer(whole[3], whole[2])
    scores[:, [7, 20]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    for k in (0, 10, 50):
        found, index = compiled(tf.constant(k))
        np.testing.assert_array_equal(found, np.take_along_axis(scores, order[:, :k], axis=1))
        np.testing.assert_array_equal(index, order[:, :k])


@pytest.mark.usefixtures("small_blocks")
def test_equal_movies_keep_their_order_in_whatever_blocks(rng: np.random.Generator) -> None:
    keep_their_order(rng, movies=60, dimension=DIMENSION, users=(1, 9))


@pytest.mark.parametrize(("movies", "dimension"), [(100, 6), (1_682, 16), (1_682, 33)])
def test_equal_movies_keep_their_order_however_many_users_ask(
    rng: np.random.Generator, movies: int, dimension: int
) -> None:
    """The last columns of a product of matrices are rounded by other instructions."""
    keep_their_order(rng, movies, dimension, users=(1, 4, 5, 9, 20))


def keep_their_order(
    rng: np.random.Generator, movies: int, dimension: int, users: Sequence[int]
) -> None:
    vectors = rng.normal(size=(movies, dimension)).astype(np.float32)
    vectors[::3] = vectors[0]
    queries = tf.constant(rng.normal(size=(max(users), dimension)).astype(np.float32))
    compiled = tf.function(
        lambda queries, nothing: top_k(queries, tf.constant(vectors), movies, nothing, movies),
        input_signature=[tf.TensorSpec([None, dimension], tf.float32), RAGGED],
        autograph=False,
    )
    for count in users:
        _, index = compiled(queries[:count], ragged([[]] * count))
        for row in index.numpy():
            assert [movie for movie in row if movie % 3 == 0] == list(range(0, movies, 3))


@pytest.mark.usefixtures("small_blocks")
def test_nothing_is_multiplied_where_nothing_is_wanted(rng: np.random.Generator) -> None:
    """Queries and movies of other dimensions have no products."""
    users = 21
    queries, vectors = (
        tf.constant(rng.normal(size=shape).astype(np.float32)) for shape in ((users, 3), (50, 4))
    )
    nothing = tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int32), [0] * users)
    any_shape = tf.TensorSpec([None, None], tf.float32)

    @tf.function(input_signature=[any_shape, any_shape, tf.TensorSpec([], tf.int32)])
    def best(queries: tf.Tensor, vectors: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return top_k(queries, vectors, 50, nothing, k)

    for k in (0, -1):
        found, index = best(queries, vectors, k)
        assert found.shape == index.shape == (users, 0)
    with pytest.raises(tf.errors.InvalidArgumentError):
        best(queries, vectors, 1)
