"""R̂ and effective draws against chains whose values are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.training.convergence import effective_draws, measure, r_hat


def autoregressive(rng: np.random.Generator, count: int, weight: float) -> np.ndarray:
    """x_t = weight · x_(t−1) + noise, from its stationary distribution."""
    noise = rng.normal(size=count)
    draws = np.empty(count)
    draws[0] = noise[0] / math.sqrt(1 - weight**2)
    for step in range(1, count):
        draws[step] = weight * draws[step - 1] + noise[step]
    return draws


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9])
def test_a_chain_with_memory_has_fewer_effective_draws(
    rng: np.random.Generator, weight: float
) -> None:
    count = 100_000
    draws = autoregressive(rng, count, weight)
    # Of an autoregressive chain, 1 + 2 Σ_t weight^t draws count as one.
    expected = count * (1 - weight) / (1 + weight)
    assert effective_draws(draws) == pytest.approx(expected, rel=0.1)
    assert r_hat(draws) == pytest.approx(1, abs=0.01)


def test_alternating_draws_count_more_than_independent_ones(rng: np.random.Generator) -> None:
    draws = autoregressive(rng, 10_000, -0.5)
    assert 10_000 < effective_draws(draws) <= 10_000 * math.log10(10_000)


def test_halves_with_other_means_have_not_converged() -> None:
    # Variances of 1 within, with n − 1, and means of 0 and 3: their variance is 4.5.
    halves = np.array([[-1.0, 0.0, 1.0], [2.0, 3.0, 4.0]])
    expected = math.sqrt((2 / 3 * 1 + 4.5) / 1)
    assert r_hat(halves.ravel()) == pytest.approx(expected, rel=1e-12)
    assert r_hat(np.concatenate([[99.0], halves.ravel()])) == pytest.approx(expected, rel=1e-12)
    assert r_hat(np.array([1.0, 1.0, 2.0, 2.0])) == math.inf


def test_only_draws_after_the_burn_in_count(rng: np.random.Generator) -> None:
    draws = rng.normal(size=40)
    scalars = [{"a": 1e6 * (step < 10) + value} for step, value in enumerate(draws)]
    found = measure(scalars, 10)["a"]
    assert found.draws == 30
    assert found.mean == pytest.approx(draws[10:].mean(), rel=1e-12)
    assert found.r_hat == pytest.approx(r_hat(draws[10:]), rel=1e-12)
    assert found.effective_draws == pytest.approx(effective_draws(draws[10:]), rel=1e-12)


def test_what_does_not_vary_and_what_is_too_short_has_no_figures() -> None:
    assert measure([{"constant": 1.0, "varies": float(step)} for step in range(8)], 0).keys() == {
        "varies"
    }
    assert measure([{"varies": float(step)} for step in range(8)], 5) == {}
    assert measure([{} for _ in range(8)], 0) == {}
