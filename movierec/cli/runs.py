"""`movierec runs`: the runs of a workspace, and the comparison of two."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from movierec.cli import options, output
from movierec.cli.report import fast_imports, find_run, outputs_that_are_there
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from movierec.report.comparison import Comparison
    from pipeline.summary import Summary

runs = typer.Typer(
    name="runs",
    help="List the runs of a workspace, and compare two.\n\n"
    "Example: movierec runs --workspace workspace",
    invoke_without_command=True,
)


@runs.callback()
def _runs(
    context: typer.Context,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    as_json: options.AsJson = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    with output.hidden_logs():
        from pipeline import summary

        found = list(summary.newest_first(Workspace(workspace)))
    if as_json:
        output.print_json([_fields(run) for run in found])
        return
    if not found:
        folder = Workspace(workspace).runs
        raise UserError(f"{folder}: no run has reached its end; run `movierec run` first")
    from rich.console import Console

    from movierec.cli import tables

    tables.show_runs(Console(), found)
    output.print_line(
        f"curves: tensorboard --logdir {Workspace(workspace).artifacts / 'Trainer' / 'model_run'}"
    )


@runs.command()
def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="Id of the earlier run.")],
    now: Annotated[str, typer.Argument(metavar="B", help="Id of the later run.")],
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Page to write as well.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare two runs: configuration, figures with paired intervals, slices that moved.

    Example: movierec runs compare 20260131-120000 20260207-120000 --html compared.html
    """
    folder = Workspace(workspace)
    if html is not None and not html.parent.is_dir():
        raise UserError(f"--html {html}: {html.parent} is not a folder; make it first")
    with output.hidden_logs():
        from pipeline import atomic_file

        with fast_imports():
            from movierec.report import comparison
        first, second = (find_run(folder, run) for run in (before, now))
        with outputs_that_are_there(f"runs {before} and {now}"):
            found = comparison.compare(folder, first, second)
    if html is not None:
        atomic_file.write_text(html, comparison.render(found))
    if as_json:
        output.print_json(_compared(found))
        return
    from rich.console import Console

    from movierec.cli import tables

    tables.show_comparison(Console(), found)
    if html is not None:
        output.print_line(f"page: {html}")


def _fields(run: Summary) -> dict[str, Any]:
    """Returns a run as JSON, with the figures of the list."""
    from movierec.report import changes

    return {
        "run_id": run.run_id,
        "model": run.model,
        "dataset": run.dataset,
        "ratings": run.rows.train + run.rows.eval + run.rows.holdout,
        "figures": changes.figures(run),
        "pushed": run.refusal is None,
        "reason": run.refusal or run.gate.reason,
        "version": run.version,
    }


def _compared(found: Comparison) -> dict[str, Any]:
    """Returns a comparison as JSON."""
    return {
        "before": found.before.run_id,
        "now": found.now.run_id,
        "changes": {kind: [asdict(one) for one in rows] for kind, rows in found.changes.items()},
        "paired": {name: one.model_dump() for name, one in found.paired.items()},
        "moved": [
            {
                "feature": one.feature,
                "value": one.value,
                "ratings": one.ratings,
                "rmse": one.rmse,
                "change": one.change and one.change.model_dump(),
            }
            for one in found.moved
        ],
        "why_not_paired": found.why_not_paired,
    }
