"""The command that runs a compiled job on this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pipeline.errors import RunInterruptedError, UserError
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from kubeflow.local_execution.outcome import Outcome, Result


def run_compiled(
    job: Annotated[Path, typer.Argument(help="What `movierec compile` wrote: JSON or YAML.")],
    workspace: Annotated[
        Path, typer.Option("--workspace", help="The folder for everything the run writes.")
    ],
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Tasks at a time.")] = 1,
    mappings: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="REMOTE=DIR",
            help="A folder in the place of a remote location; others are in the workspace. "
            "May be repeated.",
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    cached: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Use what earlier runs made.")
    ] = True,
) -> None:
    """Run a compiled job on this machine, each task as its own process."""
    from kubeflow.local_execution import job_file, locations, runner

    compiled = job_file.read(job)
    folder = Workspace(workspace)
    options = runner.Options(
        parameters=job_file.with_parameters(compiled, _pairs(parameters or [])),
        locations=locations.parse(runner.remote_folder(folder), mappings or []),
        jobs=jobs,
        use_cache=cached,
    )
    try:
        with _ended_by_sigterm():
            result = runner.run(compiled, folder, options, _report)
    except KeyboardInterrupt as error:
        raise RunInterruptedError(
            "interrupted; the tasks under way were ended, and a new run takes what the finished "
            "ones made from the cache"
        ) from error
    _summarise(result)


def _pairs(entries: list[str]) -> dict[str, str]:
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name or not equals:
            raise UserError(f"--parameter {entry}: expected NAME=VALUE")
        found[name] = value
    return found


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Has SIGTERM end the run as Ctrl-C does: the tasks' processes must not outlive it."""

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _report(task: str, outcome: Outcome) -> None:
    """A line for a task that has ended, and one for why it failed."""
    from kubeflow.local_execution.outcome import State

    state = outcome.state
    shown = f"{outcome.seconds:.1f} s" if state is State.DONE else state.value
    if outcome.attempts > 1:
        shown += f" ({outcome.attempts} attempts)"
    print(f"{task:<24} {shown:>8}", file=sys.stderr, flush=True)
    if outcome.failure:
        print(f"movierec: {outcome.failure}", file=sys.stderr, flush=True)


def _summarise(result: Result) -> None:
    from kubeflow.local_execution.outcome import TASKS_FILE, State

    counts = ", ".join(f"{len(result.tasks(s))} {s}" for s in State if result.tasks(s))
    shown = os.path.relpath(result.folder / TASKS_FILE)
    print(f"{counts} in {result.seconds:.1f} s; {shown} has what they made")
    failed, left = result.tasks(State.FAILED), result.tasks(State.NOT_RUN)
    if failed:
        after = f"; not run because of that: {', '.join(left)}" if left else ""
        raise UserError(f"failed: {', '.join(failed)}{after}")
