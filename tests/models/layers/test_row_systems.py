import numpy as np
import pytest
import tensorflow as tf

from models.layers import row_systems
from models.layers.row_systems import RowSystems

ROWS, OTHERS, D = 9, 6, 3


def test_every_row_solves_its_own_system(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The noise is turned by the Cholesky factor of the row's matrix; a row may have no rating."""
    monkeypatch.setattr(row_systems, "_VECTORS_AT_ONCE", 16)
    pairs = rng.permutation(ROWS * OTHERS)[:25]
    row, other = pairs // OTHERS, pairs % OTHERS
    row[row == 4] = 5
    vectors, right, noise = (rng.normal(size=(n, D)) for n in (OTHERS, ROWS, ROWS))
    weight, target = rng.uniform(0.5, 2, 25), rng.normal(size=25)
    ridge, matrix = rng.uniform(0.1, 1, ROWS), np.diag([1.0, 2.0, 3.0]) + 0.2
    expected = []
    for place in range(ROWS):
        own = row == place
        z = vectors[other[own]]
        system = (z.T * weight[own]) @ z + matrix + ridge[place] * np.eye(D)
        sums = right[place] + z.T @ (weight[own] * target[own])
        lower = np.linalg.cholesky(system)
        expected.append(np.linalg.solve(system, sums) + np.linalg.solve(lower.T, noise[place]))
    systems = RowSystems(row, other, ROWS, D)

    @tf.function
    def solve(*arguments: tf.Tensor) -> tf.Tensor:
        return systems.solve(*arguments)

    order = systems.order
    arguments = (vectors, weight[order], target[order], matrix, right, ridge, noise)
    found = solve(*(tf.constant(argument, tf.float32) for argument in arguments))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    dots = systems.dots(tf.constant(right, tf.float32), tf.constant(vectors, tf.float32))
    np.testing.assert_allclose(
        dots, np.sum(right[row[order]] * vectors[other[order]], axis=1), rtol=1e-4, atol=1e-5
    )
