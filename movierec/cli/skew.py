"""`movierec skew`: what a server is asked, beside what its model was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movierec.cli import exit_codes, options, output
from movierec.cli.pushed_version import find_pushed_version
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL


def skew(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of the request log (`movierec serve --request-log`)."
        ),
    ],
    max_distance: Annotated[
        float,
        typer.Option(
            "--max-distance",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Largest difference between the share of a value in requests and in training.",
        ),
    ] = 0.2,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    version: options.PushedVersion = None,
    model_name: options.ModelName = DEFAULT_MODEL,
    as_json: options.AsJson = False,
) -> None:
    """Compare what a server is asked with what its model was trained on.

    The exit code is 2 if they are further apart than allowed.

    Example: movierec skew requests --max-distance 0.15
    """
    pushed = find_pushed_version(Workspace(workspace), model_name, version)
    with output.hidden_logs():
        from pipeline import request_skew

        report = request_skew.compare(pushed, log, max_distance)
    if as_json:
        output.print_json(report.model_dump(mode="json") | {"skewed": report.skewed})
    else:
        from components.drift.report import table

        asked = ", ".join(f"{name} {count:,}" for name, count in report.signatures.items())
        output.print_line(
            f"version {report.version}: {report.requests:,} requests from {report.first} to "
            f"{report.last}: {asked}"
        )
        for number, what in (
            (report.other_requests, "requests of other versions"),
            (report.damaged_lines, "lines that cannot be read"),
        ):
            if number:
                output.print_line(f"left out: {number:,} {what}")
        for line in table(report.moves, before="training", now="requests") if report.moves else ():
            output.print_line(line)
        for name, count in report.too_few.items():
            output.print_line(
                f"{name}: not compared; expected at least {request_skew.MIN_VALUES:,} in the log, "
                f"and there are {count:,}"
            )
        output.print_line("skewed" if report.skewed else "not skewed")
    if report.skewed:
        raise typer.Exit(exit_codes.SKEWED)
