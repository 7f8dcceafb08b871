"""SVD++ of both sides against its formula, in NumPy's float64."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.columns import Columns
from models.errors import TrainingStoppedError
from models.layers.featured_table import FeaturedTable
from models.options import ModelOptions, TrainingOptions
from models.rating_statistics import RatingStatistics, measure
from models.side_features import Sides, side_features
from models.training import devices
from models.training.loop import TrainingLoop
from models.training.progress import Progress
from models.zoo.svdpp import SVDPlusPlus
from tests.models.factories import finite_differences

USERS, MOVIES, DIMENSION = 9, 7, 5
# The last user and the last movie have no rating. Of user 4 nothing else is known either.
UNRATED_USER, UNRATED_MOVIE = USERS - 1, MOVIES - 1
MEMBERS = (slice(0, 3), slice(3, 5))
L2, L2_BIAS = 3.0, 0.7
SIDES = Sides(
    side_features([[f"age={row % 3}"] if row != 4 else [] for row in range(USERS)]),
    side_features([[f"genre={row % 2}", f"genre={row % 3}"] for row in range(MOVIES)]),
)
NAMES = ("users.own", "users.weights", "movies.own", "movies.weights")
Weights = dict[str, np.ndarray]


def ratings() -> Columns:
    rng = np.random.default_rng(3)
    pairs = np.sort(rng.permutation((USERS - 1) * (MOVIES - 1))[:36])
    return {
        "user_index": (pairs // (MOVIES - 1)).astype(np.int32),
        "movie_index": (pairs % (MOVIES - 1)).astype(np.int32),
        "rating": rng.integers(1, 6, len(pairs)).astype(np.float32),
    }


RATINGS = ratings()


def measured() -> RatingStatistics:
    return measure(RATINGS, USERS, MOVIES, sides=SIDES)


def options(**changes: Any) -> ModelOptions:
    chosen = {
        "name": "svdpp", "dimension": DIMENSION, "members": len(MEMBERS),
        "l2_embedding": L2, "l2_bias": L2_BIAS, "init_stddev": 0.1, **changes,
    }  # fmt: skip
    return ModelOptions.model_validate(chosen)


def table_of(model: SVDPlusPlus, name: str) -> tf.Variable:
    side, _, table = name.partition(".")
    variable: tf.Variable = getattr(getattr(model, side), table)
    return variable


def build(rng: np.random.Generator) -> tuple[SVDPlusPlus, Weights]:
    """A model as after training, and its weights."""
    model = SVDPlusPlus(measured(), options(), seed=1)
    for name in NAMES:
        values = table_of(model, name).numpy()
        # A row without ratings, or of unknown ids, has nothing of its own.
        moves = values.any(axis=1, keepdims=True) | name.endswith("weights")
        table_of(model, name).assign(values + moves * rng.normal(0, 0.4, values.shape))
    return model, {name: table_of(model, name).numpy().astype(np.float64) for name in NAMES}


def sets() -> tuple[np.ndarray, np.ndarray]:
    """|N|^-½ where a row has a rating with one of the other side, for users and for movies."""
    seen = np.zeros((USERS, MOVIES))
    seen[RATINGS["user_index"], RATINGS["movie_index"]] = 1
    counts = seen.sum(axis=1, keepdims=True), seen.sum(axis=0)[:, np.newaxis]
    users, movies = (np.sqrt(np.maximum(count, 1)) for count in counts)
    return seen / users, seen.T / movies


def described(side: int) -> np.ndarray:
    """Side features, with a mean square norm of one."""
    x = SIDES[side].centred((USERS, MOVIES)[side]).astype(np.float64)
    return x / np.sqrt(np.square(x).sum(axis=1).mean())


def rows(model: SVDPlusPlus, w: Weights, side: int) -> np.ndarray:
    """Vectors and biases as the equation has them: a sum over sets, and one over side features."""
    name = ("users", "movies")[side]
    features = getattr(model, name).features.numpy().astype(np.float64)[:-1]
    known = sets()[side], described(side)
    rank = np.linalg.matrix_rank(known[0])
    total = w[f"{name}.own"][:-1].copy()
    splits = slice(0, rank), slice(rank, None)
    for matrix, columns in zip(known, splits, strict=True):
        part = features[:, columns]
        right_vectors = matrix.T @ part / np.square(part).sum(axis=0)
        y = right_vectors @ w[f"{name}.weights"][columns]
        total += matrix @ y
    return np.vstack([total, np.zeros(DIMENSION + 1)])


def by_member(model: SVDPlusPlus, w: Weights) -> np.ndarray:
    """Ratings that are not clipped, `[members, users + 1, movies + 1]`."""
    p, q = rows(model, w, 0), rows(model, w, 1)
    biases = RATINGS["rating"].mean(dtype=np.float64) + p[:, -1:] + q[:, -1]
    return np.stack([biases + p[:, member] @ q[:, member].T for member in MEMBERS])


def loss(model: SVDPlusPlus, w: Weights) -> float:
    """The loss over all ratings."""
    predicted = by_member(model, w)[:, RATINGS["user_index"], RATINGS["movie_index"]]
    squares = [np.square(w[name]).sum(axis=0) for name in NAMES]
    penalty = sum(
        L2 * square[:DIMENSION].sum() / len(MEMBERS) + L2_BIAS * square[DIMENSION]
        for square in squares
    )
    errors = RATINGS["rating"] - predicted
    return float(np.square(errors).mean() + penalty / len(RATINGS["rating"]))


def tensors(columns: Columns) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in columns.items()}


@pytest.mark.parametrize("side", [0, 1])
def test_features_are_who_rated_what_and_the_side_features(side: int) -> None:
    model = SVDPlusPlus(measured(), options(), seed=1)
    table: FeaturedTable = (model.users, model.movies)[side]
    features = table.features.numpy().astype(np.float64)
    kernel = sum(matrix @ matrix.T for matrix in (sets()[side], described(side)))
    np.testing.assert_allclose(features[:-1] @ features[:-1].T, kernel, atol=1e-5)
    assert not features[-1].any()


def test_of_who_rated_what_the_largest_directions_are_kept() -> None:
    model = SVDPlusPlus(measured(), options(eigenvectors=2), seed=1)
    kept = model.users.features.numpy()[:-1, :2].astype(np.float64)
    u, s, v = np.linalg.svd(sets()[0], full_matrices=False)
    nearest = (u[:, :2] * s[:2]) @ v[:2]
    np.testing.assert_allclose(kept @ kept.T, nearest @ nearest.T, atol=1e-4)
    assert model.users.features.shape[1] == 2 + np.linalg.matrix_rank(described(0))


def test_loss_over_all_ratings_is_the_definition(rng: np.random.Generator) -> None:
    model, w = build(rng)
    computed = model.compute_loss(tensors(RATINGS)).numpy()
    assert computed == pytest.approx(loss(model, w), rel=1e-5)


def test_batches_of_an_epoch_add_up_to_the_loss(rng: np.random.Generator) -> None:
    model, w = build(rng)
    order = rng.permutation(36).reshape(4, 9)
    losses = [
        model.compute_loss(tensors({name: values[batch] for name, values in RATINGS.items()}))
        for batch in order
    ]
    assert np.mean(losses) == pytest.approx(loss(model, w), rel=1e-5)


def test_gradients_are_the_finite_differences_of_the_definition(rng: np.random.Generator) -> None:
    model, w = build(rng)
    with tf.GradientTape() as tape:
        value = model.compute_loss(tensors(RATINGS))
    gradients = tape.gradient(value, [table_of(model, name) for name in NAMES])
    for name, gradient in zip(NAMES, gradients, strict=True):
        expected = finite_differences(lambda: loss(model, w), w[name])
        found = tf.convert_to_tensor(gradient).numpy()
        np.testing.assert_allclose(found, expected, atol=3e-6, err_msg=name)


def test_predictions_are_the_mean_of_the_members_for_known_and_unknown(
    rng: np.random.Generator,
) -> None:
    model, w = build(rng)
    expected = by_member(model, w).mean(axis=0)
    scores = model.user_vectors().numpy() @ model.movie_vectors().numpy().T
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    users, movies = np.divmod(np.arange(expected.size), MOVIES + 1)
    predicted = model.predict_rating(users, movies).numpy()
    np.testing.assert_allclose(predicted, np.clip(expected.ravel(), 1, 5), rtol=1e-5)
    assert expected[USERS, MOVIES] == pytest.approx(RATINGS["rating"].mean(dtype=np.float64))


def test_members_are_models_of_their_own(rng: np.random.Generator) -> None:
    """Their vectors side by side give the mean of what each predicts alone."""
    model, w = build(rng)
    alone = []
    for member in MEMBERS:
        one = SVDPlusPlus(
            measured(), options(dimension=member.stop - member.start, members=1), seed=1
        )
        for name in NAMES:
            columns = np.r_[member, DIMENSION]
            table_of(one, name).assign(w[name][:, columns])
        alone.append(one.user_vectors().numpy() @ one.movie_vectors().numpy().T)
    together = model.user_vectors().numpy() @ model.movie_vectors().numpy().T
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-5, atol=1e-5)


def test_there_are_no_more_members_than_dimensions() -> None:
    """One without a dimension would only halve what the others say."""
    many, fitting = (
        SVDPlusPlus(measured(), options(dimension=2, members=members), seed=1) for members in (5, 2)
    )
    np.testing.assert_array_equal(many.user_vectors(), fitting.user_vectors())
    pairs = tf.constant([0, 1]), tf.constant([1, 0])
    np.testing.assert_array_equal(many.predict_rating(*pairs), fitting.predict_rating(*pairs))


def test_features_are_among_what_a_copy_of_the_model_takes_over() -> None:
    """They are computed anew, and on some devices not to the bit."""
    model, copy = (SVDPlusPlus(measured(), options(), seed) for seed in (1, 2))
    model.users.features.assign_add(tf.ones_like(model.users.features))
    devices.copy_weights(model.variables, copy.variables)
    np.testing.assert_array_equal(copy.user_vectors(), model.user_vectors())


def test_a_fresh_model_depends_on_the_seed_alone() -> None:
    first, same, other = (
        [table_of(SVDPlusPlus(measured(), options(), seed), name).numpy() for name in NAMES]
        for seed in (1, 1, 2)
    )
    for one, equal in zip(first, same, strict=True):
        np.testing.assert_array_equal(one, equal)
    for side in (0, 2):
        rated = slice(0, (UNRATED_USER, UNRATED_MOVIE)[side // 2])
        assert (first[side] != other[side])[rated, :DIMENSION].all()


def train(folder: Path | None, stop_after: int | None = None) -> Weights:
    """Trains and returns the weights."""
    model = SVDPlusPlus(measured(), options(), seed=1)
    training = TrainingOptions(
        epochs=6, batch_size=16, optimizer="adam", learning_rate=0.05, checkpoint_seconds=0
    )

    def report(progress: Progress) -> None:
        if progress.epoch == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    loop = TrainingLoop(model, training, None if folder is None else str(folder), report)
    loop.train_for(RATINGS, 6)
    return {name: table_of(model, name).numpy() for name in NAMES}


@pytest.fixture(scope="module")
def trained() -> Weights:
    return train(None)


def test_a_stopped_training_resumes_to_the_bit(tmp_path: Path, trained: Weights) -> None:
    with pytest.raises(TrainingStoppedError, match="all state is saved"):
        train(tmp_path, stop_after=3)
    for name, resumed in train(tmp_path).items():
        np.testing.assert_array_equal(resumed, trained[name])


def test_training_lowers_the_loss_and_leaves_rows_without_ratings_at_zero(
    trained: Weights,
) -> None:
    model = SVDPlusPlus(measured(), options(), seed=1)
    before = {name: table_of(model, name).numpy().astype(np.float64) for name in NAMES}
    assert loss(model, trained) < 0.9 * loss(model, before)
    assert not trained["users.own"][UNRATED_USER:].any()
    assert not trained["movies.own"][UNRATED_MOVIE:].any()
    # What is known of a movie that nobody rated speaks for it.
    assert rows(model, trained, 1)[UNRATED_MOVIE].any()


def test_a_new_person_is_a_ridge_regression_of_the_mean_of_the_members(
    rng: np.random.Generator,
) -> None:
    """Of all vectors at once, with the penalty that a row has in the loss."""
    model, w = build(rng)
    q, mean = rows(model, w, 1), RATINGS["rating"].mean(dtype=np.float64)
    rated, stars = [0, 2, 5], np.array([5.0, 1, 4])
    averaged = np.hstack([q[:, :DIMENSION] / len(MEMBERS), np.ones((MOVIES + 1, 1))])
    penalty = np.diag([L2 / len(MEMBERS)] * DIMENSION + [L2_BIAS])
    x, y = averaged[rated], stars - mean - q[rated, -1]
    p = np.linalg.solve(x.T @ x + penalty, x.T @ y)
    expected = mean + q[:, -1] + averaged @ p
    vectors = model.movie_vectors()
    # The last place is padding.
    given = tf.gather(vectors, [[*rated, MOVIES]]), tf.constant([[*stars, 3]], tf.float32)
    person = model.fold_in()(*given, tf.constant([[True, True, True, False]]))
    np.testing.assert_allclose(tf.matmul(person, vectors, transpose_b=True), [expected], rtol=1e-4)
    assert np.ptp(expected - mean - q[:, -1]) > 0.01
