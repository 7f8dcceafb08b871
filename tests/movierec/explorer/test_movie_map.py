from __future__ import annotations

import numpy as np

from movierec.explorer.movie_map import principal_components


def test_components_are_those_of_a_singular_value_decomposition(rng: np.random.Generator) -> None:
    vectors = (rng.normal(size=(40, 5)) * [1, 9, 2, 4, 3]).astype(np.float32)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    found = principal_components(vectors)
    for column in range(2):
        sign = np.sign(right[column][np.abs(right[column]).argmax()])
        np.testing.assert_allclose(
            found[:, column], sign * left[:, column] * values[column], atol=1e-8
        )


def test_vectors_of_one_number_are_on_a_line() -> None:
    found = principal_components(np.array([[1.0], [2.0], [6.0]]))
    np.testing.assert_allclose(found, [[-2.0, 0.0], [-1.0, 0.0], [3.0, 0.0]])
