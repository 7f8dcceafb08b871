"""Optimizers and schedules against their published formulas, in NumPy's float64."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from models.options import TrainingOptions
from models.training.optimizers import OPTIMIZERS, learning_rates

ROWS = np.array([3, 1, 3, 3])
STEPS = 6
RATE = 0.1

Update = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def sgd(g: np.ndarray, a: np.ndarray, b: np.ndarray, step: int) -> np.ndarray:
    return RATE * g


def rmsprop(g: np.ndarray, a: np.ndarray, b: np.ndarray, step: int) -> np.ndarray:
    a[:] = 0.9 * a + 0.1 * g**2
    b[:] = 0.9 * b + RATE * g / np.sqrt(a + 1e-7)
    return b


def adagrad(g: np.ndarray, a: np.ndarray, b: np.ndarray, step: int) -> np.ndarray:
    a[:] = a + g**2
    return RATE * g / (np.sqrt(a) + 1e-7)


def adam(g: np.ndarray, a: np.ndarray, b: np.ndarray, step: int) -> np.ndarray:
    a[:] = 0.9 * a + 0.1 * g
    b[:] = 0.999 * b + 0.001 * g**2
    return RATE * (a / (1 - 0.9**step)) / (np.sqrt(b / (1 - 0.999**step)) + 1e-7)


UPDATES: dict[str, Update] = {"sgd": sgd, "rmsprop": rmsprop, "adagrad": adagrad, "adam": adam}


def test_every_optimizer_is_tested() -> None:
    assert set(OPTIMIZERS) == set(UPDATES)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", UPDATES)
def test_rows_that_repeat_are_summed_and_others_keep_still(
    rng: np.random.Generator, name: str, jit: bool
) -> None:
    start, gradients = rng.normal(size=(5, 2)), rng.normal(size=(STEPS, len(ROWS), 2))
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = OPTIMIZERS[name]([variable], xla=jit)

    @tf.function(jit_compile=jit)
    def apply(values: tf.Tensor) -> None:
        optimizer.apply([tf.IndexedSlices(values, tf.constant(ROWS))], tf.constant(RATE))

    touched = np.unique(ROWS)
    expected, a, b = start[touched].copy(), np.zeros((2, 2)), np.zeros((2, 2))
    for step, values in enumerate(gradients, start=1):
        apply(tf.constant(values, tf.float32))
        summed = np.zeros((5, 2))
        np.add.at(summed, ROWS, values)
        expected -= UPDATES[name](summed[touched], a, b, step)
    np.testing.assert_allclose(variable.numpy()[touched], expected, atol=1e-5)
    np.testing.assert_array_equal(variable.numpy()[[0, 2, 4]], start[[0, 2, 4]].astype(np.float32))


@pytest.mark.parametrize("name", UPDATES)
def test_dense_gradients(rng: np.random.Generator, name: str) -> None:
    start, gradients = rng.normal(size=3), rng.normal(size=(STEPS, 3))
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = OPTIMIZERS[name]([variable])
    expected, a, b = start.copy(), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply([tf.constant(gradient, tf.float32)], tf.constant(RATE))
        expected -= UPDATES[name](gradient, a, b, step)
    np.testing.assert_allclose(variable.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", UPDATES)
def test_state_is_all_that_continuing_needs(rng: np.random.Generator, name: str) -> None:
    start, gradients = rng.normal(size=(5, 2)), rng.normal(size=(STEPS, len(ROWS), 2))

    def after(optimizer_steps: int, resume_at: int | None = None) -> np.ndarray:
        variable = tf.Variable(start, dtype=tf.float32)
        optimizer = OPTIMIZERS[name]([variable])
        for step in range(optimizer_steps):
            if step == resume_at:
                kept = [value.numpy() for value in (variable, *optimizer.state())]
                variable = tf.Variable(tf.zeros_like(variable))
                optimizer = OPTIMIZERS[name]([variable])
                for fresh, value in zip((variable, *optimizer.state()), kept, strict=True):
                    fresh.assign(value)
            values = tf.IndexedSlices(tf.constant(gradients[step], tf.float32), tf.constant(ROWS))
            optimizer.apply([values], tf.constant(RATE))
        return variable.numpy()

    np.testing.assert_array_equal(after(STEPS), after(STEPS, resume_at=3))


def rates(steps: int = 10, **options: object) -> np.ndarray:
    chosen = TrainingOptions.model_validate({"epochs": 5, "learning_rate": 2.0, **options})
    return np.concatenate([learning_rates(chosen, epoch, steps) for epoch in range(1, 6)])


def test_cosine_runs_from_the_learning_rate_to_zero() -> None:
    found = rates(schedule="cosine")
    expected = [2.0 * 0.5 * (1 + math.cos(math.pi * step / 50)) for step in range(50)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_constant_stays() -> None:
    assert rates(schedule="constant").tolist() == [2.0] * 50


def test_warm_up_rises_to_the_schedule_and_leaves_it_alone() -> None:
    plain, warmed = rates(schedule="cosine"), rates(schedule="cosine", warmup_epochs=1.5)
    assert warmed[0] == pytest.approx(plain[0] / 15)
    assert warmed[7] == pytest.approx(plain[7] * 8 / 15)
    np.testing.assert_array_equal(warmed[15:], plain[15:])
