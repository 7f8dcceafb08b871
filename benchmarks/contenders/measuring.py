"""Input, timing and output of contenders."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Measured:
    """Result of one training.

    Attributes:
        ratings: Number of ratings in the timed epochs, all epochs together.
        wall: Elapsed seconds of each part: `read`, `shuffle`, `compile`, `train`.
        cpu: Seconds of processor time of each part.
        peak_mib: Peak memory of the process, in MiB.
        test_rmse: RMSE on the test ratings, if there are any.
        test_mae: Mean absolute error on the test ratings, if there are any.
        test_nll: Mean of −log of the density of the test ratings, if the contender predicts a
            normal distribution.
        test_star_nll: Mean of −log of the probability of their stars, likewise: from halfway to the
            next lower one to halfway to the next higher one, and the tails at the ends.
        coverage: Shares of test ratings within the central intervals of
            `models.intervals.LEVELS`, likewise.
        ndcg_at_10: NDCG@10 of the movies liked in the test ratings, if the contender ranks.
        recall_at_10: Recall@10 of those movies.
        recall_at_20: Recall@20 of those movies.
    """

    ratings: int = 0
    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0
    test_rmse: float | None = None
    test_mae: float | None = None
    test_nll: float | None = None
    test_star_nll: float | None = None
    coverage: list[float] | None = None
    ndcg_at_10: float | None = None
    recall_at_10: float | None = None
    recall_at_20: float | None = None

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Adds the time of the block to a part."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[part] = self.wall.get(part, 0.0) + time.perf_counter() - wall
        self.cpu[part] = self.cpu.get(part, 0.0) + time.process_time() - cpu

    def set_errors(self, predicted: np.ndarray[Any, Any], given: Arrays) -> None:
        """Sets the errors on the test ratings.

        Args:
            predicted: Predicted ratings of the test pairs, `[n]`. They are clipped to the range of
                the training ratings.
            given: Training and test ratings.
        """
        scale = float(given["rating"].min()), float(given["rating"].max())
        self.test_rmse = rmse(predicted, given["test_rating"], scale)
        self.test_mae = mae(predicted, given["test_rating"], scale)

    def print(self) -> None:
        """Prints the result as one line of JSON."""
        self.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(asdict(self)), flush=True)


class EpochClock:
    """Tells compiling from training where the first epoch does both.

    Training in the first epoch counts as the mean of the other epochs; the rest is compiling.
    """

    def __init__(self) -> None:
        """Starts the first epoch."""
        self._ends = [(time.perf_counter(), time.process_time())]

    def epoch_ended(self) -> None:
        """Ends an epoch and starts the next."""
        self._ends.append((time.perf_counter(), time.process_time()))

    def write(self, measured: Measured) -> None:
        """Sets `compile` and `train`, the latter for all epochs together."""
        for seconds, ends in zip(
            (measured.wall, measured.cpu), np.array(self._ends).T, strict=True
        ):
            first, *others = np.diff(ends)
            epoch = float(np.mean(others))
            # With little to compile, a slow later epoch would make it negative.
            seconds["compile"] = max(0.0, float(first) - epoch)
            seconds["train"] = epoch * (1 + len(others))


def settings() -> dict[str, Any]:
    """Returns the settings, the second argument of the command."""
    chosen: dict[str, Any] = json.loads(sys.argv[2])
    return chosen


def arrays() -> Arrays:
    """Returns the archive named by the first argument: train ratings, and test ratings if any."""
    with np.load(sys.argv[1]) as archive:
        return {name: archive[name] for name in archive.files}


def rmse(
    predicted: np.ndarray[Any, Any],
    ratings: np.ndarray[Any, Any],
    scale: tuple[float, float] = (1, 5),
) -> float:
    """Returns the RMSE of predictions, clipped to the lowest and the highest rating."""
    return float(np.sqrt(np.mean(np.square(_errors(predicted, ratings, scale)))))


def mae(
    predicted: np.ndarray[Any, Any],
    ratings: np.ndarray[Any, Any],
    scale: tuple[float, float] = (1, 5),
) -> float:
    """Returns the mean absolute error of predictions, clipped as for `rmse`."""
    return float(np.mean(np.abs(_errors(predicted, ratings, scale))))


def _errors(
    predicted: np.ndarray[Any, Any], ratings: np.ndarray[Any, Any], scale: tuple[float, float]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.clip(predicted.astype(np.float64), *scale) - ratings
