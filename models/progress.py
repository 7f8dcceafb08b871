"""How far a training has come, for whoever watches."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The state of a training between two calls of the compiled function.

    Attributes:
        epoch: the one that runs, from 1.
        epochs: at most.
        fraction_of_epoch: 0 to 1.
        loss: mean over the epoch so far.
        eval_rmse: of the last epoch that ended; None before, or where nothing is evaluated.
        ratings_per_second: over the epoch so far, without evaluation.
    """

    epoch: int
    epochs: int
    fraction_of_epoch: float
    loss: float
    eval_rmse: float | None
    ratings_per_second: float

    def __str__(self) -> str:
        """`epoch 3/50 40 %  loss 0.8123  eval RMSE 0.9312  1.4 M ratings/s`."""
        evaluated = "" if self.eval_rmse is None else f"  eval RMSE {self.eval_rmse:.4f}"
        return (
            f"epoch {self.epoch}/{self.epochs} {self.fraction_of_epoch:.0%}"
            f"  loss {self.loss:.4f}{evaluated}  {self.ratings_per_second / 1e6:.2f} M ratings/s"
        )


Report = Callable[[Progress], None]


def report_to_log(progress: Progress) -> None:
    """A plain line in the log."""
    logging.info("%s", progress)


# Whoever runs a training without calling it, as a pipeline does, says here where it shows.
current_report: ContextVar[Report] = ContextVar("current_report", default=report_to_log)
