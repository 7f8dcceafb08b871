"""How far a Markov chain has converged: R̂ and the effective number of draws of its scalars.

Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner, "Rank-normalization, folding, and
localization: an improved R̂ for assessing convergence of MCMC" (2021), sections 2 and 3.2, with the
two halves of one chain in the place of chains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from models.records import Record

# Each half needs a variance.
_FEWEST_DRAWS: Final = 4

Vector = np.ndarray[Any, np.dtype[np.float64]]


class Convergence(Record):
    """How far a scalar of a Markov chain has converged.

    Attributes:
        draws: Number of draws, without those of the burn-in.
        mean: Their mean.
        effective_draws: Number of independent draws whose mean would be as certain.
        r_hat: Potential scale reduction of the halves of the chain: 1 if the second half is
            distributed as the first, and larger the more they differ.
    """

    draws: int
    mean: float
    effective_draws: float
    r_hat: float


def measure(scalars: Sequence[Mapping[str, float]], burn_in: int) -> dict[str, Convergence]:
    """Returns the convergence of each scalar that varies; none of a chain that is too short.

    Args:
        scalars: Scalars of each draw, by name.
        burn_in: Number of draws, the first ones, that do not count.
    """
    counted = scalars[burn_in:]
    if len(counted) < _FEWEST_DRAWS:
        return {}
    found = {}
    for name in counted[0]:
        draws = np.array([one[name] for one in counted])
        if np.ptp(draws) > 0:
            found[name] = Convergence(
                draws=len(draws),
                mean=float(draws.mean()),
                effective_draws=effective_draws(draws),
                r_hat=r_hat(draws),
            )
    return found


def r_hat(draws: Vector) -> float:
    """Returns the split R̂ of a chain that is not constant.

    Args:
        draws: A scalar of each draw, `[n]`, at least four; of an odd number the first is left out.
    """
    within, pooled = _variances(_halves(draws))
    return float(np.sqrt(pooled / within)) if within else float("inf")


def effective_draws(draws: Vector) -> float:
    """Returns the effective number of draws of a chain that is not constant.

    Autocorrelations count up to the first pair of neighbouring lags whose sum is negative, and no
    pair counts more than the one before.

    Args:
        draws: As for `r_hat`.
    """
    halves = _halves(draws)
    within, pooled = _variances(halves)
    correlation = 1 - (within - _autocovariance(halves).mean(axis=0)) / pooled
    pairs = correlation[: len(correlation) // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs < 0)
    kept = np.minimum.accumulate(pairs[: negative[0] if len(negative) else None])
    # Alternating draws are more certain than independent ones; the source bounds how far.
    lowest = 1 / np.log10(halves.size)
    return float(halves.size / max(2 * kept.sum() - 1, lowest))


def _halves(draws: Vector) -> Vector:
    """Returns the halves of a chain, `[2, n // 2]`."""
    return draws[len(draws) % 2 :].astype(np.float64).reshape(2, -1)


def _variances(chains: Vector) -> tuple[float, float]:
    """Returns the variance within the chains, and the estimate that counts that between them."""
    within = float(chains.var(axis=1, ddof=1).mean())
    count = chains.shape[1]
    between = float(chains.mean(axis=1).var(ddof=1))
    return within, (count - 1) / count * within + between


def _autocovariance(chains: Vector) -> Vector:
    """Returns the autocovariance of each chain at each lag, over the number of its draws."""
    centred = chains - chains.mean(axis=1, keepdims=True)
    count = centred.shape[1]
    return np.stack([np.correlate(one, one, "full")[count - 1 :] / count for one in centred])
