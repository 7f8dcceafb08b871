import numpy as np
import pytest
import tensorflow as tf

from models.biased_mf import BiasedMatrixFactorization
from models.options import ModelOptions
from tests.models.factories import MOVIES, USERS, biased_mf, ratings, statistics


def weights(model: BiasedMatrixFactorization) -> dict[str, np.ndarray]:
    return {
        name: getattr(model, name).numpy().astype(np.float64)
        for name in ("user_bias", "movie_bias", "user_embedding", "movie_embedding")
    }


def loss(w: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> float:
    """The definition, rating by rating, in float64."""
    total = 0.0
    for u, i, r in zip(*batch.values(), strict=True):
        p, q = w["user_embedding"][u], w["movie_embedding"][i]
        b_u, b_i = w["user_bias"][u, 0], w["movie_bias"][i, 0]
        error = r - (3.4 + b_u + b_i + p @ q)
        total += error**2 + 0.7 * (b_u**2 + b_i**2) + 0.3 * (p @ p + q @ q)
    return total / len(batch["rating"])


def test_loss_is_the_definition(rng: np.random.Generator) -> None:
    model, batch = biased_mf(rng), ratings(rng)
    computed = model.compute_loss({name: tf.constant(v) for name, v in batch.items()}).numpy()
    assert computed == pytest.approx(loss(weights(model), batch), rel=1e-6)


def test_gradients_are_the_finite_differences_of_the_definition(rng: np.random.Generator) -> None:
    model, batch = biased_mf(rng), ratings(rng)
    with tf.GradientTape() as tape:
        value = model.compute_loss({name: tf.constant(v) for name, v in batch.items()})
    names = ("user_bias", "movie_bias", "user_embedding", "movie_embedding")
    gradients = tape.gradient(value, [getattr(model, name) for name in names])
    w, step = weights(model), 1e-5
    for name, gradient in zip(names, gradients, strict=True):
        computed = tf.convert_to_tensor(gradient).numpy()
        expected = np.zeros_like(w[name])
        for position in np.ndindex(w[name].shape):
            kept = w[name][position]
            w[name][position] = kept + step
            above = loss(w, batch)
            w[name][position] = kept - step
            expected[position] = (above - loss(w, batch)) / (2 * step)
            w[name][position] = kept
        np.testing.assert_allclose(computed, expected, atol=2e-6)


def test_predictions_are_clipped_to_the_range_of_ratings(rng: np.random.Generator) -> None:
    model = biased_mf(rng)
    model.user_bias.assign(tf.fill([USERS + 1, 1], 9.0))
    assert model.predict_rating([0], [0]).numpy().tolist() == [5.0]
    model.user_bias.assign(tf.fill([USERS + 1, 1], -9.0))
    assert model.predict_rating([0], [0]).numpy().tolist() == [1.0]


def test_the_unknown_get_the_mean_and_the_others_bias(rng: np.random.Generator) -> None:
    model = biased_mf(rng)
    w = weights(model)
    predicted = model.predict_rating([USERS, 2, USERS], [3, MOVIES, MOVIES]).numpy()
    expected = [3.4 + w["movie_bias"][3, 0], 3.4 + w["user_bias"][2, 0], 3.4]
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)


def test_the_dot_of_the_vectors_is_the_unclipped_prediction(rng: np.random.Generator) -> None:
    model = biased_mf(rng)
    scores = model.user_vectors().numpy() @ model.movie_vectors().numpy().T
    users, movies = np.divmod(np.arange((USERS + 1) * (MOVIES + 1)), MOVIES + 1)
    predicted = model.predict_rating(users, movies).numpy().reshape(scores.shape)
    np.testing.assert_allclose(np.clip(scores, 1, 5), predicted, rtol=1e-5)


def test_a_fresh_model_depends_on_the_seed_alone() -> None:
    def vectors(seed: int) -> np.ndarray:
        options = ModelOptions(dimension=4)
        return BiasedMatrixFactorization(statistics(), options, seed).user_embedding.numpy()

    np.testing.assert_array_equal(vectors(1), vectors(1))
    assert np.abs(vectors(1) - vectors(2))[:-1].min() > 0
    assert not vectors(1)[-1].any()
