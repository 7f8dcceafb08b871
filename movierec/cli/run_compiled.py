"""`movierec run-compiled`: a compiled job on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from movierec.cli import exit_codes
from movierec.cli.kubeflow_package import check_kubeflow_package
from movierec.cli.options import CompiledJob, Parameters, WorkspaceFolder
from movierec.cli.output import print_error, print_json_text, print_line
from pipeline.config.errors import RunInterruptedError, UserError
from pipeline.config.name_value import pairs
from pipeline.workspace import Workspace
from serving.errors import printable

if TYPE_CHECKING:
    from kubeflow.local_execution.outcome import Outcome, Result

# Properties of the artifact that TFX's Pusher makes.
_PUSHED: Final = "pushed"
_DESTINATION: Final = "pushed_destination"
# Property of our own; `components.atomic_pusher` would import TFX.
_PIN_VERDICT: Final = "pin_verdict"
_NOT_BLESSED: Final = "the evaluator or the model server did not bless the model"

_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_compiled(
    job: CompiledJob,
    workspace: WorkspaceFolder,
    jobs: Annotated[
        int,
        typer.Option("--jobs", metavar="NUMBER", min=1, help="Number of tasks at a time, at most."),
    ] = 1,
    mappings: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="REMOTE=DIR",
            help="Local folder that stands in for a remote location. May be repeated. All other "
            "remote locations are folders of the workspace.",
        ),
    ] = None,
    docker: Annotated[
        bool,
        typer.Option(
            "--docker",
            help="Start each task with Docker in the image that the file names, without a network, "
            "instead of as a process of this machine.",
        ),
    ] = False,
    parameters: Parameters = None,
    platform_version: Annotated[
        str | None,
        typer.Option(
            "--platform-version",
            metavar="VERSION",
            help="Release of Kubeflow Pipelines whose driver and launcher are simulated, such as "
            "2.5.0; the newest known release if not given.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    cached: Annotated[
        bool,
        typer.Option("--cache/--no-cache", help="Take the results of earlier runs, or none."),
    ] = True,
) -> None:
    """Run a compiled job on this machine, each task as its own process.

    Needs neither a cluster nor credentials. The exit code is 0 if the model is pushed and 2 if it
    is refused.

    Example: movierec run-compiled movierec.yaml --workspace dry-run --jobs 2
    """
    check_kubeflow_package()
    from kubeflow import run_parameters
    from kubeflow.local_execution import containers, job_file, platforms, runner
    from kubeflow.storage import locations

    compiled = job_file.read_to_run_here(job)
    folder = Workspace(workspace)
    changed = run_parameters.changed(compiled, pairs("--parameter", parameters or []))
    places = locations.parse(runner.remote_folder(folder), mappings or [])
    images = {task.container.image for task in compiled.tasks.values()}
    options = runner.Options(
        platform=platforms.find(compiled.schema, platform_version),
        parameters={**compiled.parameters, **changed},
        locations=places,
        jobs=jobs,
        use_cache=cached,
        containers=containers.find(images, runner.shared_folders(folder, places))
        if docker
        else None,
    )
    try:
        with interrupted_by_signals(options.impatient):
            result = runner.run(compiled, folder, options, _report)
    except KeyboardInterrupt as error:
        raise RunInterruptedError(
            "interrupted; the running tasks were stopped, and the next run takes the results of "
            "finished tasks from the cache"
        ) from error
    _check(result)
    if as_json:
        from kubeflow import compiled_summary

        summary = compiled_summary.collect(compiled, options.parameters, result)
        print_json_text(summary.model_dump_json(indent=2))
    else:
        _summarise(result)
    if not _pushed_all(result, quiet=as_json):
        raise typer.Exit(exit_codes.NOT_PUSHED)


@contextmanager
def interrupted_by_signals(impatient: threading.Event) -> Iterator[None]:
    """Raises KeyboardInterrupt on SIGTERM and SIGHUP too, so that no task outlives the run.

    Signals that were ignored before stay ignored: under nohup, which ignores SIGHUP, the run goes
    on after its terminal has closed.

    Args:
        impatient: Event that a second Ctrl-C sets, to kill tasks that are slow to end.
    """
    before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    held = {number: was for number, was in before.items() if was is not signal.SIG_IGN}

    def interrupt(*_: Any) -> NoReturn:
        # A second signal, as a closing terminal sends, must not interrupt the stopping of tasks.
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
    """Prints a line for a task that has ended, and one with the reason if it failed."""
    from kubeflow.local_execution.outcome import State

    state = outcome.state
    shown = f"{outcome.seconds:.1f} s" if state is State.DONE else state.value
    if outcome.attempts > 1:
        shown += f" ({outcome.attempts} attempts)"
    print(f"{printable(task):<24} {shown:>8}", file=sys.stderr, flush=True)
    if outcome.failure:
        print_error(outcome.failure)


def _summarise(result: Result) -> None:
    from kubeflow.local_execution.outcome import TASKS_FILE, State

    counts = ", ".join(f"{len(result.tasks(s))} {s}" for s in State if result.tasks(s))
    shown = os.path.relpath(result.folder / TASKS_FILE)
    print_line(f"{counts} in {result.seconds:.1f} s; see {shown}")


def _check(result: Result) -> None:
    """Raises UserError if a task failed."""
    from kubeflow.local_execution.outcome import State

    failed, left = result.tasks(State.FAILED), result.tasks(State.NOT_RUN)
    if failed:
        _summarise(result)
        after = f"; not run as a result: {', '.join(left)}" if left else ""
        raise UserError(f"failed: {', '.join(failed)}{after}")


def _pushed_all(result: Result, quiet: bool) -> bool:
    """Returns whether all Pushers pushed; prints a line for each unless `quiet`."""
    said = [
        artifact.get("metadata", {})
        for outcome in result.outcomes.values()
        if outcome.outputs is not None
        for artifact in outcome.outputs.artifacts.values()
    ]
    records = [metadata for metadata in said if _PUSHED in metadata]
    for record in () if quiet else records:
        print_line(
            f"pushed: {record[_DESTINATION]}"
            if record[_PUSHED]
            else f"not pushed: {record.get(_PIN_VERDICT) or _NOT_BLESSED}"
        )
    return all(record[_PUSHED] for record in records)
