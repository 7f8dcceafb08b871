"""What the contenders share: reading their input, timing, printing the result."""

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
    """What a training took.

    Attributes:
        ratings: that the timed epochs took a step on, each epoch counted.
        wall: seconds by part: `read`, `shuffle`, `compile`, `train`.
        cpu: seconds of processor time by part.
        peak_mib: largest memory of the process.
        test_rmse: on the test ratings, where there are any.
        test_mae: likewise.
        ndcg_at_10: of the movies liked in test, where movies are ranked.
        recall_at_10: likewise.
        recall_at_20: likewise.
    """

    ratings: int = 0
    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0
    test_rmse: float | None = None
    test_mae: float | None = None
    ndcg_at_10: float | None = None
    recall_at_10: float | None = None
    recall_at_20: float | None = None

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Adds what the block takes to a part."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[part] = self.wall.get(part, 0.0) + time.perf_counter() - wall
        self.cpu[part] = self.cpu.get(part, 0.0) + time.process_time() - cpu

    def print(self) -> None:
        """One line of JSON."""
        self.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(asdict(self)), flush=True)


class EpochClock:
    """Splits a training that compiles in its first epoch into compiling and training.

    The first epoch trains as long as the others do on average; the rest of it is compiling.
    """

    def __init__(self) -> None:
        """Begins the first epoch."""
        self._ends = [(time.perf_counter(), time.process_time())]

    def epoch_ended(self) -> None:
        """Ends an epoch, and begins the next."""
        self._ends.append((time.perf_counter(), time.process_time()))

    def write(self, measured: Measured) -> None:
        """Fills in `compile` and `train`, the latter for all epochs."""
        for seconds, ends in zip(
            (measured.wall, measured.cpu), np.array(self._ends).T, strict=True
        ):
            first, *others = np.diff(ends)
            epoch = float(np.mean(others))
            # Where little is compiled, a slow second epoch would make it less than nothing.
            seconds["compile"] = max(0.0, float(first) - epoch)
            seconds["train"] = epoch * (1 + len(others))


def settings() -> dict[str, Any]:
    """The second argument of the command."""
    chosen: dict[str, Any] = json.loads(sys.argv[2])
    return chosen


def arrays() -> Arrays:
    """The archive that the first argument names: train ratings, and `test_` ones if it has any."""
    with np.load(sys.argv[1]) as archive:
        return {name: archive[name] for name in archive.files}


def rmse(predicted: np.ndarray[Any, Any], ratings: np.ndarray[Any, Any]) -> float:
    """Of predictions that are first clipped to the range of MovieLens-100K."""
    return float(np.sqrt(np.mean(np.square(_errors(predicted, ratings)))))


def mae(predicted: np.ndarray[Any, Any], ratings: np.ndarray[Any, Any]) -> float:
    """Of predictions that are first clipped to the range of MovieLens-100K."""
    return float(np.mean(np.abs(_errors(predicted, ratings))))


def _errors(
    predicted: np.ndarray[Any, Any], ratings: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.clip(predicted.astype(np.float64), 1, 5) - ratings
