"""The move of a model's RMSE without the user who moves it most, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from components.gate.shift import rmse_shift

USERS = np.array(["a", "a", "b", "b", "c", "d"])


def test_one_user_alone_moves_nothing() -> None:
    """Without d, whose error is 4, all errors are 1 as before."""
    found = rmse_shift(np.array([1.0, -1, 1, 1, -1, 4]), USERS, 1.0)
    assert found.moved == 0.0
    assert found.standard_error == 0.0


def test_what_several_users_have_in_common_stays() -> None:
    """Without c or d, 4 squares of 1 and one of 9 remain: sqrt(13 / 5)."""
    errors = np.array([1.0, -1, 1, 1, 3, -3])
    found = rmse_shift(errors, USERS, 1.0)
    assert found.moved == pytest.approx(np.sqrt(13 / 5) - 1)
    # Of users a, b and d, the squares less their mean 2.6, over twice the RMSE, summed.
    sums = np.array([-3.2, -3.2, 6.4]) / (2 * np.sqrt(2.6))
    assert found.standard_error == pytest.approx(np.sqrt(3 / 2 * np.sum(sums**2)) / 5)


def test_a_fall_is_a_move_too() -> None:
    found = rmse_shift(np.full(6, 0.5), USERS, 1.0)
    assert found.moved == pytest.approx(-0.5)


def test_the_only_user_counts() -> None:
    assert rmse_shift(np.array([2.0, 2]), np.array(["a", "a"]), 1.0).moved == 1.0
