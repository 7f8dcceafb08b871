"""`movierec run`: the pipeline on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from models import features
from movierec.cli import exit_codes, options, output
from movierec.cli.report import write_report
from pipeline.config.errors import RunInterruptedError
from pipeline.workspace import Workspace
from serving.shutdown import handle_stop_signals

if TYPE_CHECKING:
    from movierec.report.material import Material
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
            summary = local_runner.run(
                load_config(config, settings), Workspace(workspace), verbose, accept_drift or ()
            )
    except KeyboardInterrupt as error:
        raise RunInterruptedError(
            "interrupted; the next run continues after the steps that have finished"
        ) from error
    try:
        _show(summary, as_json)
    finally:
        # The report belongs to the run, whatever becomes of the table.
        report = write_report(Workspace(workspace), summary)
    if not as_json:
        _show_sample_user(summary, user, report.material)
        if report.path is not None:
            output.print_line(f"report: {report.path}")
    if summary.refusal:
        output.print_error(f"not pushed: {summary.refusal}")
        raise typer.Exit(exit_codes.NOT_PUSHED)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _show(summary: Summary, as_json: bool) -> None:
    if as_json:
        output.print_json_text(summary.model_dump_json(indent=2))
        return
    from rich.console import Console

    from movierec.cli import tables

    tables.show_summary(Console(), summary)


def _show_sample_user(summary: Summary, user: str | None, material: Material | None) -> None:
    """Shows what a user, by default a typical one, rated highest and is recommended, if pushed.

    Args:
        summary: Summary of the run.
        user: Id of the user; None for a typical one.
        material: What the report is made from, and has loaded; None if it could not be read.
    """
    if summary.pushed_model is None or material is None:
        return
    with output.hidden_logs():
        from rich.console import Console

        from components import ratings
        from movierec.cli import tables
        from pipeline import sample_user

        rated = material.train.columns
        user = user or sample_user.typical_user(rated)
        # All train ratings of millions do not fit into memory as text.
        if summary.rows.train > len(rated[features.USER_ID]):
            rated = ratings.of_user(summary.examples, features.TRAIN, user)
        found = sample_user.sample_user(material.model, rated, user, _MOVIES_SHOWN)
    tables.show_sample_user(Console(), found)
