"""Each optimizer against its published update, in NumPy's float64."""

import numpy as np
import pytest
import tensorflow as tf

from models.optimizers import SGD, Adam

ROWS = np.array([3, 1, 3, 3])
STEPS = 6


def gradients(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(STEPS, len(ROWS), 2))


def sums(values: np.ndarray) -> np.ndarray:
    """The gradient of the whole table: repeated rows are added up."""
    table = np.zeros((5, 2))
    np.add.at(table, ROWS, values)
    return table


@pytest.mark.parametrize("jit", [False, True])
def test_sgd_rows(rng: np.random.Generator, jit: bool) -> None:
    start, grads = rng.normal(size=(5, 2)), gradients(rng)
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = SGD([variable])

    @tf.function(jit_compile=jit)
    def apply(values: tf.Tensor) -> None:
        optimizer.apply([tf.IndexedSlices(values, tf.constant(ROWS))], tf.constant(0.1))

    expected = start.copy()
    for values in grads:
        apply(tf.constant(values, tf.float32))
        expected -= 0.1 * sums(values)
    np.testing.assert_allclose(variable.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_adam_rows_touches_only_the_rows_of_the_batch(rng: np.random.Generator, jit: bool) -> None:
    start, grads = rng.normal(size=(5, 2)), gradients(rng)
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = Adam([variable])

    @tf.function(jit_compile=jit)
    def apply(values: tf.Tensor) -> None:
        optimizer.apply([tf.IndexedSlices(values, tf.constant(ROWS))], tf.constant(0.1))

    expected, first, second = start.copy(), np.zeros((5, 2)), np.zeros((5, 2))
    touched = np.unique(ROWS)
    for step, values in enumerate(grads, start=1):
        apply(tf.constant(values, tf.float32))
        g = sums(values)[touched]
        first[touched] = 0.9 * first[touched] + 0.1 * g
        second[touched] = 0.999 * second[touched] + 0.001 * g**2
        rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected[touched] -= rate * first[touched] / (np.sqrt(second[touched]) + 1e-7)
    np.testing.assert_allclose(variable.numpy(), expected, atol=2e-5)
    np.testing.assert_array_equal(variable.numpy()[[0, 2, 4]], start[[0, 2, 4]].astype(np.float32))


def test_dense_gradients(rng: np.random.Generator) -> None:
    start, grads = rng.normal(size=3), rng.normal(size=(STEPS, 3))
    plain, adaptive = tf.Variable(start, dtype=tf.float32), tf.Variable(start, dtype=tf.float32)
    sgd, adam = SGD([plain]), Adam([adaptive])
    expected_sgd, expected_adam = start.copy(), start.copy()
    first, second = np.zeros(3), np.zeros(3)
    for step, g in enumerate(grads, start=1):
        sgd.apply([tf.constant(g, tf.float32)], tf.constant(0.1))
        adam.apply([tf.constant(g, tf.float32)], tf.constant(0.1))
        expected_sgd -= 0.1 * g
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected_adam -= rate * first / (np.sqrt(second) + 1e-7)
    np.testing.assert_allclose(plain.numpy(), expected_sgd, atol=1e-6)
    np.testing.assert_allclose(adaptive.numpy(), expected_adam, atol=2e-5)
