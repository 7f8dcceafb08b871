"""`movierec run`: the pipeline on this machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from models import features
from movierec.cli import exit_codes, options, output
from movierec.cli.report import write_report, write_report_beside
from pipeline.config.errors import RunInterruptedError
from pipeline.workspace import Workspace
from serving.shutdown import handle_stop_signals

if TYPE_CHECKING:
    from pipeline.sample_user import SampleUser
    from pipeline.summary import Summary

_MOVIES_SHOWN = 10


def run(
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="User whose recommendations are shown; one with the median number of ratings if "
            "not given.",
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Search for better hyperparameters before the training."),
    ] = False,
    accept_drift: Annotated[
        list[str] | None,
        typer.Option(
            "--accept-drift",
            metavar="NAME",
            help="Move of the data to accept in this run, by the name that the refusal has; "
            "several are separated by commas. May be repeated.",
        ),
    ] = None,
    as_json: options.AsJson = False,
    verbose: Annotated[
        bool, typer.Option(help="Show the logs of TensorFlow, TFX and Beam.")
    ] = False,
) -> None:
    """Train, evaluate and push a model on this machine.

    The exit code is 0 if the model is pushed and 2 if it is refused. A second run takes every step
    that has not changed from the cache.

    Example: movierec run --set model.name=two_tower --set training.epochs=40
    """
    from pipeline import local_runner
    from pipeline.config.tree import load_config

    settings = [*(overrides or ()), *(["tuning.enabled=true"] if tune else ())]
    try:
        with handle_stop_signals(_interrupt):
            finished = local_runner.run(
                load_config(config, settings), Workspace(workspace), verbose, accept_drift or ()
            )
    except KeyboardInterrupt as error:
        raise RunInterruptedError(
            "interrupted; the next run continues after the steps that have finished"
        ) from error
    summary = finished.summary
    show = partial(_show_json, summary) if as_json else partial(_show, summary, user)
    if finished.can_fork:
        report = write_report_beside(Workspace(workspace), summary, show)
    else:
        report = write_report(Workspace(workspace), summary)
        show()
    if report is not None and not as_json:
        output.print_line(f"report: {report}")
    if summary.refusal:
        output.print_error(f"not pushed: {summary.refusal}")
        raise typer.Exit(exit_codes.NOT_PUSHED)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _show_json(summary: Summary) -> None:
    output.print_json_text(summary.model_dump_json(indent=2))


def _show(summary: Summary, user: str | None) -> None:
    from rich.console import Console

    from movierec.cli import tables

    console = Console()
    tables.show_summary(console, summary)
    if summary.pushed_model:
        tables.show_sample_user(console, _sample_user(summary, summary.pushed_model, user))


def _sample_user(summary: Summary, pushed_model: str, user: str | None) -> SampleUser:
    """Returns what a user, by default a typical one, rated highest and is recommended."""
    with output.hidden_logs():
        from components import ratings
        from movierec.report.material import MOST_ROWS
        from movierec.report.rated_rows import read_rows
        from pipeline import sample_user
        from serving.pushed_model import PushedModel

        # All train ratings of millions do not fit into memory as text.
        rated = read_rows(summary.examples, features.TRAIN, MOST_ROWS).columns
        user = user or sample_user.typical_user(rated)
        if summary.rows.train > MOST_ROWS:
            rated = ratings.of_user(summary.examples, features.TRAIN, user)
        model = PushedModel(Path(pushed_model))
        return sample_user.sample_user(model, rated, user, _MOVIES_SHOWN)
