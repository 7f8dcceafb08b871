"""The progress of a run: a line for each step, with a spinner and its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Final, Self

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn

from models.training.progress import Progress as TrainingProgress
from pipeline.step_processes import peak_memory_mb

_REFRESH_SECONDS: Final = 0.1


class _NoteColumn(ProgressColumn):
    """The note that a step shows on its own progress."""

    def render(self, task: Task) -> RenderableType:
        note: RenderableType = task.fields["note"]
        return note


class StepProgress:
    """Shows the steps as they run: a spinner on a terminal, elsewhere a line when done.

    Attributes:
        seconds: Wall time of each finished step, by id.
        peak_memory_mb: Largest memory of each finished step's process until its end, by id, in
            megabytes.
        cached: Ids of the steps whose earlier result was used.
        current: Id of the step that runs in this process or has failed; None between steps.
        refresh_seconds: Time between two calls of `refresh`; None if there is no spinner.
    """

    def __init__(self, screen: IO[str]) -> None:
        """Shows the progress on a text stream, usually standard error."""
        self.seconds: dict[str, float] = {}
        self.peak_memory_mb: dict[str, float] = {}
        self.cached: list[str] = []
        self.current: str | None = None
        self._started: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._console = Console(file=screen)
        self.refresh_seconds = _REFRESH_SECONDS if self._console.is_terminal else None
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<20}"),
            TextColumn("{task.fields[time]:>8}"),
            _NoteColumn(),
            console=self._console,
            # A thread of its own would be lost in forked processes.
            auto_refresh=False,
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
        for name in list(self._tasks):
            self._show(name, "[red]stopped[/]")
        self._progress.stop()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Shows the line of a step that runs in this process, inside the block."""
        self.current = name
        self.start(name)
        try:
            with self._spinning():
                yield
        except BaseException:
            self.fail(name)
            raise
        self.finish(name, peak_memory_mb=peak_memory_mb())
        self.current = None

    def start(self, name: str) -> None:
        """Shows that a step runs."""
        self._started[name] = time.perf_counter()
        self._tasks[name] = self._progress.add_task(name, total=1, time="", note="")

    def finish(self, name: str, peak_memory_mb: float, cached: bool = False) -> None:
        """Shows that a step has finished; with an earlier result if `cached`."""
        elapsed = time.perf_counter() - self._started[name]
        self.seconds[name] = elapsed
        self.peak_memory_mb[name] = peak_memory_mb
        if cached:
            self.cached.append(name)
        self._show(name, "cached" if name in self.cached else f"{elapsed:.1f} s")

    def fail(self, name: str) -> None:
        """Shows that a step has failed."""
        self._show(name, "[red]failed[/]")

    def note(self, name: str, progress: TrainingProgress) -> None:
        """Logs the progress of a step, and shows it on a terminal beside the step."""
        logging.info("%s", progress)
        self._progress.update(self._tasks[name], note=progress)

    def refresh(self) -> None:
        """Turns the spinners."""
        self._progress.refresh()

    @contextmanager
    def _spinning(self) -> Iterator[None]:
        """Turns the spinners in a thread, inside the block."""
        if self.refresh_seconds is None:
            yield
            return
        ended = threading.Event()
        thread = threading.Thread(target=self._spin, args=[ended], daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _spin(self, ended: threading.Event) -> None:
        while not ended.wait(self.refresh_seconds):
            self.refresh()

    def _show(self, name: str, shown: str) -> None:
        self._progress.update(self._tasks.pop(name), completed=1, time=shown, note="")
        self._progress.refresh()
        if not self._console.is_terminal:
            self._console.print(f"{name:<20} {shown:>8}")
