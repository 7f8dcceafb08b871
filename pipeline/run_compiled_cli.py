"""The command that runs a compiled job on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from pipeline import exit_codes
from pipeline.errors import LINE_START, RunInterruptedError, UserError
from pipeline.name_value import pairs
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from kubeflow.local_execution.outcome import Outcome, Result

# What TFX's Pusher says of what it made.
_PUSHED: Final = "pushed"
_DESTINATION: Final = "pushed_destination"

_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    platform_version: Annotated[
        str | None,
        typer.Option(
            help="The release of Kubeflow Pipelines to do the work of, such as 2.5.0; the newest "
            "that is known, if not given."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    cached: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Use what earlier runs made.")
    ] = True,
) -> None:
    """Run a compiled job on this machine, each task as its own process.

    Exits 2 if a model is not pushed.
    """
    from kubeflow import run_parameters
    from kubeflow.local_execution import job_file, locations, platforms, runner

    compiled = job_file.read_to_run_here(job)
    folder = Workspace(workspace)
    changed = run_parameters.changed(compiled, pairs("--parameter", parameters or []))
    options = runner.Options(
        platform=platforms.find(compiled.schema, platform_version),
        parameters={**compiled.parameters, **changed},
        locations=locations.parse(runner.remote_folder(folder), mappings or []),
        jobs=jobs,
        use_cache=cached,
    )
    try:
        with _ended_by_signals(options.impatient):
            result = runner.run(compiled, folder, options, _report)
    except KeyboardInterrupt as error:
        raise RunInterruptedError(
            "interrupted; the tasks under way were ended, and a new run takes what the finished "
            "ones made from the cache"
        ) from error
    _check(result)
    if as_json:
        from kubeflow import compiled_summary

        print(
            compiled_summary.collect(compiled, options.parameters, result).model_dump_json(indent=2)
        )
    else:
        _summarise(result)
    if not _pushed(result, quiet=as_json):
        raise typer.Exit(exit_codes.NOT_BLESSED)


@contextmanager
def _ended_by_signals(impatient: threading.Event) -> Iterator[None]:
    """Has SIGTERM and SIGHUP end the run as Ctrl-C does: the tasks must not outlive it.

    What was ignored before stays so: under nohup, which has SIGHUP ignored, the run goes on when
    its terminal is gone.

    Args:
        impatient: set by Ctrl-C once the run is being ended.
    """
    before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    held = {number: was for number, was in before.items() if was is not signal.SIG_IGN}

    def interrupt(*_: Any) -> NoReturn:
        # A second one must not keep tasks from being ended; a terminal that closes may send it.
        for number in held:
            signal.signal(number, signal.SIG_IGN)
        if signal.SIGINT in held:
            signal.signal(signal.SIGINT, hurry)
        raise KeyboardInterrupt

    def hurry(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        impatient.set()

    for number in held:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def _report(task: str, outcome: Outcome) -> None:
    """A line for a task that has ended, and one for why it failed."""
    from kubeflow.local_execution.outcome import State

    state = outcome.state
    shown = f"{outcome.seconds:.1f} s" if state is State.DONE else state.value
    if outcome.attempts > 1:
        shown += f" ({outcome.attempts} attempts)"
    print(f"{task:<24} {shown:>8}", file=sys.stderr, flush=True)
    if outcome.failure:
        print(f"{LINE_START}{outcome.failure}", file=sys.stderr, flush=True)


def _summarise(result: Result) -> None:
    from kubeflow.local_execution.outcome import TASKS_FILE, State

    counts = ", ".join(f"{len(result.tasks(s))} {s}" for s in State if result.tasks(s))
    shown = os.path.relpath(result.folder / TASKS_FILE)
    print(f"{counts} in {result.seconds:.1f} s; {shown} has what they made")


def _check(result: Result) -> None:
    """Raises UserError if a task failed."""
    from kubeflow.local_execution.outcome import State

    failed, left = result.tasks(State.FAILED), result.tasks(State.NOT_RUN)
    if failed:
        _summarise(result)
        after = f"; not run because of that: {', '.join(left)}" if left else ""
        raise UserError(f"failed: {', '.join(failed)}{after}")


def _pushed(result: Result, quiet: bool) -> bool:
    """Whether all pushers pushed; prints a line for each unless `quiet`."""
    said = [
        artifact.get("metadata", {})
        for outcome in result.outcomes.values()
        if outcome.outputs is not None
        for artifact in outcome.outputs.artifacts.values()
    ]
    records = [metadata for metadata in said if _PUSHED in metadata]
    for record in () if quiet else records:
        print(
            f"pushed: {record[_DESTINATION]}"
            if record[_PUSHED]
            else "not pushed: the model lacks a blessing, of the evaluator or of the model server"
        )
    return all(record[_PUSHED] for record in records)
