"""The progress of a run: a line for each step, with a spinner and its time."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Final, Self

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn

from models.training.progress import Progress as TrainingProgress

# Linux counts resident memory in units of 1,024 bytes.
_BYTES_PER_UNIT: Final = 1_024
_MEGABYTE: Final = 1e6


class _NoteColumn(ProgressColumn):
    """The note that a step shows on its own progress."""

    def render(self, task: Task) -> RenderableType:
        note: RenderableType = task.fields["note"]
        return note


class StepProgress:
    """Shows the steps as they run: a spinner on a terminal, elsewhere a line when done.

    Attributes:
        seconds: Wall time of each finished step, by id.
        peak_memory_mb: Largest memory of this process until the end of each finished step, by id,
            in megabytes.
        cached: Ids of the steps whose earlier result was used.
        current: Id of the step that runs or has failed; None between steps.
    """

    def __init__(self, screen: IO[str]) -> None:
        """Shows the progress on a text stream, usually standard error."""
        self.seconds: dict[str, float] = {}
        self.peak_memory_mb: dict[str, float] = {}
        self.cached: list[str] = []
        self.current: str | None = None
        self._task: TaskID | None = None
        self._console = Console(file=screen)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<20}"),
            TextColumn("{task.fields[time]:>8}"),
            _NoteColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[], None]]:
        """Shows the line of a step.

        Yields:
            Function to call if an earlier result was used.
        """
        self.current = name
        started = time.perf_counter()
        task = self._progress.add_task(name, total=1, time="", note="")
        self._task = task
        try:
            yield lambda: self.cached.append(name)
        except BaseException:
            self._show(task, name, "[red]failed[/]")
            raise
        elapsed = time.perf_counter() - started
        self.seconds[name] = elapsed
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_UNIT
        self.peak_memory_mb[name] = round(peak / _MEGABYTE, 1)
        self._show(task, name, "cached" if name in self.cached else f"{elapsed:.1f} s")
        self.current = None

    def note(self, progress: TrainingProgress) -> None:
        """Logs the progress of the current step, and shows it on a terminal beside the step."""
        logging.info("%s", progress)
        if self._task is not None:
            self._progress.update(self._task, note=progress)

    def _show(self, task: TaskID, name: str, shown: str) -> None:
        self._progress.update(task, completed=1, time=shown, note="")
        self._task = None
        if not self._console.is_terminal:
            self._console.print(f"{name:<20} {shown:>8}")
