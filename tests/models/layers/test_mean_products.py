import numpy as np
import tensorflow as tf

from models.layers.mean_products import mean_product


def factors(rng: np.random.Generator, rank: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(8, rank)), rng.normal(size=(11, rank))


def mean_of(old: tuple, new: tuple, share: float) -> np.ndarray:
    left, right = mean_product(
        *(tf.constant(factor, tf.float32) for factor in (*old, *new)),
        tf.constant(share, tf.float64),
    )
    return left.numpy() @ right.numpy().T


def test_the_mean_is_exact_where_the_rank_suffices(rng: np.random.Generator) -> None:
    old, new = factors(rng, 5), factors(rng, 2)
    for factor in old:
        factor[:, 3:] = 0
    expected = 0.7 * old[0] @ old[1].T + 0.3 * new[0] @ new[1].T
    np.testing.assert_allclose(mean_of(old, new, 0.3), expected, atol=1e-5)


def test_the_mean_is_the_nearest_of_its_rank_otherwise(rng: np.random.Generator) -> None:
    old, new = factors(rng, 3), factors(rng, 4)
    whole = 0.4 * old[0] @ old[1].T + 0.6 * new[0] @ new[1].T
    u, values, v = np.linalg.svd(whole)
    np.testing.assert_allclose(mean_of(old, new, 0.6), (u[:, :3] * values[:3]) @ v[:3], atol=1e-5)


def test_the_first_draw_replaces_what_was_there(rng: np.random.Generator) -> None:
    old, new = factors(rng, 4), factors(rng, 2)
    np.testing.assert_allclose(mean_of(old, new, 1.0), new[0] @ new[1].T, atol=1e-5)
