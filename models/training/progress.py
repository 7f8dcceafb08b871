"""Progress of a training, and how it is shown."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

_BAR_WIDTH = 16
# Between two lines within an epoch, where there is no terminal.
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Progress:
    """The state of a training between two calls of the compiled function.

    Attributes:
        epoch: Number of the current epoch, from 1.
        epochs: Largest number of epochs.
        fraction_of_epoch: Share of the current epoch that is done, 0 to 1.
        loss: Mean loss over the current epoch so far.
        criterion: Name of the metric on the eval split, such as `RMSE`.
        eval_figure: Metric after the last whole epoch; None before, or without evaluation.
        ratings_per_second: Ratings a second in the current epoch, without evaluation.
        seconds_left: Seconds until the last epoch ends at the current pace; early stopping
            shortens them.
        label: Prefix that tells several trainings apart.
    """

    epoch: int
    epochs: int
    fraction_of_epoch: float
    loss: float
    criterion: str
    eval_figure: float | None
    ratings_per_second: float
    seconds_left: float
    label: str = ""

    @property
    def fraction(self) -> float:
        """Share of all epochs that is done, 0 to 1."""
        return (self.epoch - 1 + self.fraction_of_epoch) / self.epochs

    def __str__(self) -> str:
        """Returns a line.

        Example:
            epoch 3/50 40%  loss 0.8123  eval RMSE 0.9312  1.40 M ratings/s  0:00:12 left
        """
        evaluated = (
            "" if self.eval_figure is None else f"  eval {self.criterion} {self.eval_figure:.4f}"
        )
        left = datetime.timedelta(seconds=round(self.seconds_left))
        return (
            f"{self.label}epoch {self.epoch}/{self.epochs} {self.fraction_of_epoch:.0%}"
            f"  loss {self.loss:.4f}{evaluated}"
            f"  {self.ratings_per_second / 1e6:.2f} M ratings/s  {left} left"
        )

    def __rich__(self) -> RenderableType:
        """Returns the line with a bar before it."""
        line = Table.grid(padding=(0, 1))
        line.add_row(ProgressBar(1.0, self.fraction, width=_BAR_WIDTH), str(self))
        return line


Report = Callable[[Progress], None]

# Where a training reports that somebody else starts, as a pipeline starts its Trainer.
current_report: ContextVar[Report | None] = ContextVar("current_report", default=None)


@contextmanager
def reporting(report: Report | None) -> Iterator[Report]:
    """Provides the function that shows progress.

    Args:
        report: Function to use. None takes that in `current_report`, or else shows a bar on a
            terminal and lines elsewhere.
    """
    report = report or current_report.get()
    console = Console(stderr=True)
    if report is not None:
        yield report
    elif console.is_terminal:
        with Live(console=console, transient=True) as live:
            yield live.update
    else:
        yield _lines()


def _lines() -> Report:
    """Returns a report that prints a line when an epoch ends, and every ten seconds before."""
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        if progress.fraction_of_epoch == 1 or time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            print(progress, file=sys.stderr, flush=True)
            last = time.monotonic()

    return report
