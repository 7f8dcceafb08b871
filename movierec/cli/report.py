"""`movierec report`: the page on a run."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from movierec.cli import options, output
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.summary import Summary


def report(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Id of the run; the newest if not given."),
    ] = None,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
) -> None:
    """Write the report on a run again: one HTML page that opens from disk.

    Every run writes it as report.html beside its summary.json.

    Example: movierec report 20260131-120000
    """
    folder = Workspace(workspace)
    with output.hidden_logs():
        with fast_imports():
            from movierec.report import page
        found = find_run(folder, run)
        with outputs_that_are_there(f"run {found.run_id}"):
            path = page.write(folder, found)
    output.print_line(path)


@contextmanager
def fast_imports() -> Iterator[None]:
    """Spares the imports in the block what no report uses, and its work the search for garbage."""
    from pipeline.lean_imports import lean_imports

    with lean_imports():
        yield
    # Modules live on, but to look through their millions of objects takes half a second.
    gc.freeze()


@contextmanager
def outputs_that_are_there(what: str) -> Iterator[None]:
    """Turns the lack of a run's file into one line about its cause.

    Args:
        what: Run or runs whose outputs are read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f"{what}: {error.filename} is gone; `movierec prune` removes the outputs of old runs"
        ) from error


def find_run(workspace: Workspace, run_id: str | None) -> Summary:
    """Returns the summary of a run that reached its end.

    Args:
        workspace: Workspace of the run.
        run_id: Id of the run; None for the newest.

    Raises:
        UserError: There is no such run.
    """
    from pipeline import summary

    runs = list(summary.newest_first(workspace))
    if not runs:
        raise UserError(f"{workspace.runs}: no run has reached its end; run `movierec run` first")
    found = next((one for one in runs if run_id in (None, one.run_id)), None)
    if found is None:
        newest = ", ".join(one.run_id for one in runs[:5])
        raise UserError(f"run {run_id}: no such run in {workspace.runs}; the newest are {newest}")
    return found


def write_report(workspace: Workspace, summary: Summary) -> Path | None:
    """Writes the report on a run that has just ended; one that fails is a line of warning.

    The run has its verdict already, and a page about it must not change that.
    """
    from pipeline import run_log

    log = workspace.runs / summary.run_id / "log.txt"
    with run_log.redirected(log):
        try:
            with fast_imports():
                from movierec.report import page

            return page.write(workspace, summary)
        except Exception as error:
            logging.exception("the report failed")
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    output.print_error(f"warning: no report ({reason}); the traceback is in {log}")
    return None


def write_report_beside(
    workspace: Workspace, summary: Summary, work: Callable[[], None]
) -> Path | None:
    """Does some work, while another process writes the report as `write_report` does.

    To draw a report takes seconds. The other process is a fork, so this one must not have run
    TensorFlow yet; the work may.

    Args:
        workspace: Workspace of the run.
        summary: Summary of the run.
        work: Function that this process calls meanwhile.
    """
    from movierec.report import REPORT_FILE
    from pipeline.step_failure import explain
    from pipeline.step_processes import Failed, StepProcesses

    folder = workspace.runs / summary.run_id
    # Both processes may load a model, and TensorFlow would reserve all of a GPU for one.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with StepProcesses() as processes:
        processes.start(
            "report",
            lambda: write_report(workspace, summary) is None,
            partial(explain, step="report", folder=folder),
        )
        try:
            work()
        except Exception:
            # The report belongs to the run, whatever becomes of the work.
            list(processes.news(None))
            raise
        ((_, end),) = processes.news(None)
    if isinstance(end, Failed):
        output.print_error(
            f"warning: no report ({end.error}); `movierec report {summary.run_id}` writes it"
        )
    path = folder / REPORT_FILE
    return path if path.exists() else None
