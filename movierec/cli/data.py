"""`movierec data`: what is in your ratings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from movierec.cli import exit_codes, help_pages, options, output

if TYPE_CHECKING:
    from pipeline.data_check import DataReport

_BAR_WIDTH = 40

data = typer.Typer(
    name="data",
    help="Look into ratings before a run.\n\nExample: movierec data check my-ratings.zip",
    invoke_without_command=True,
)


@data.callback()
def _data(context: typer.Context) -> None:
    help_pages.show_help_without_command(context)


@data.command()
def check(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Folder, zip archive or file of the ratings, or a path with {SPAN}.",
        ),
    ],
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    as_json: options.AsJson = False,
) -> None:
    """Read ratings as a run would, report what is there, and change nothing.

    The exit code is 1 if a run would stop at them.

    Example: movierec data check ratings.tsv --set 'data.columns={user = "reader"}'
    """
    from pipeline.config.tree import load_config

    # In quotes, no character of the path has a meaning of its own.
    quoted = json.dumps(path, ensure_ascii=False)
    chosen = load_config(config, [*(overrides or ()), f"data.path={quoted}"])
    with output.hidden_logs():
        from pipeline import data_check

        report = data_check.check(chosen)
    if as_json:
        output.print_json_text(report.model_dump_json(indent=2))
    else:
        _show(report)
    if report.problem:
        output.print_error(report.problem)
        raise typer.Exit(exit_codes.FAILED)


def _show(report: DataReport) -> None:
    output.print_line(report.path)
    output.print_line(f"recognised: {report.recognised}")
    output.print_line(f"{report.rows:,} rows, {report.users:,} users, {report.movies:,} movies")
    if report.described is not None:
        output.print_line(f"{report.described:.1%} of the ratings are of a movie that is described")
    output.print_line(f"{report.rejected:,} rows rejected")
    for reason, count in report.rejected_by_reason.items():
        output.print_line(f"  {count:,} {reason}")
        for example in report.examples[reason]:
            fields = [f"{name} {value}" for name, value in example.items() if name != "row"]
            output.print_line(f"    row {example['row'] + 1}: {', '.join(fields)}")
    for span in report.spans:
        mean = "" if span.mean is None else f", mean {span.mean:.2f}"
        output.print_line(f"  {span.name}: {span.accepted:,} of {span.read:,} rows{mean}")
    for title, counts in (("rating", report.ratings), ("year", report.years)):
        _show_histogram(title, counts)


def _show_histogram(title: str, counts: dict[str, int]) -> None:
    if not counts:
        return
    width = max(len(label) for label in (title, *counts))
    most = max(counts.values())
    output.print_line(f"{title:>{width}}")
    for label, count in counts.items():
        bar = "█" * round(_BAR_WIDTH * count / most)
        output.print_line(f"{label:>{width}} {bar} {count:,}")
