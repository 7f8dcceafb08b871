"""`movierec export`: what a pushed model answers, in bulk, as Parquet."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models import features
from movierec.cli import help_pages, options, output
from movierec.cli.pushed_version import find_pushed_version
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from pipeline.bulk_export import Export

Folder = Annotated[
    Path,
    typer.Option(
        "-o", "--output", metavar="FOLDER", help="Folder to make; it appears when complete."
    ),
]

export = typer.Typer(
    name="export",
    help="Write what a pushed model answers in bulk, as Parquet files.\n\n"
    "Example: movierec export recommendations -k 10 -o recommendations",
    invoke_without_command=True,
)


@export.callback()
def _export(context: typer.Context) -> None:
    help_pages.show_help_without_command(context)


@export.command()
def recommendations(
    folder: Folder,
    k: options.MovieCount = 10,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    version: options.PushedVersion = None,
    model_name: options.ModelName = DEFAULT_MODEL,
) -> None:
    """Write the best movies of every user, as `movierec recommend` shows them.

    An export that was interrupted continues when it is started again.

    Example: movierec export recommendations -k 10 -o recommendations
    """
    pushed = find_pushed_version(Workspace(workspace), model_name, version)

    def made() -> Export:
        from pipeline import bulk_export

        return bulk_export.recommendations(pushed, k)

    _write(made, folder)


@export.command()
def predictions(
    folder: Folder,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="FILE",
            help="Parquet file with user_id and movie_id; the holdout of the version's run if not "
            "given.",
        ),
    ] = None,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    version: options.PushedVersion = None,
    model_name: options.ModelName = DEFAULT_MODEL,
) -> None:
    """Write the predicted ratings of pairs of users and movies.

    Example: movierec export predictions --pairs pairs.parquet -o predictions
    """
    work = Workspace(workspace)
    pushed = find_pushed_version(work, model_name, version)

    def made() -> Export:
        from components import ratings
        from pipeline import bulk_export, summary

        if pairs is None:
            rated = ratings.read(summary.of_pushed_model(work, pushed).examples, features.HOLDOUT)
            ids = rated[features.USER_ID], rated[features.MOVIE_ID]
        else:
            ids = _pairs(pairs)
        return bulk_export.predictions(pushed, *ids)

    _write(made, folder)


@export.command()
def vectors(
    folder: Folder,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    version: options.PushedVersion = None,
    model_name: options.ModelName = DEFAULT_MODEL,
) -> None:
    """Write the vectors of users and movies with their ids, for an index of neighbours.

    The dot product of a user's and a movie's vector ranks the movies for the user.

    Example: movierec export vectors -o vectors
    """
    pushed = find_pushed_version(Workspace(workspace), model_name, version)

    def made() -> Export:
        from pipeline import bulk_export

        return bulk_export.vectors(pushed)

    _write(made, folder)


def _pairs(path: Path) -> tuple[Any, Any]:
    """Returns user ids and movie ids of a Parquet file, bytes `[n]` each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError(f"--pairs {path}: no such file")
    names = [features.USER_ID, features.MOVIE_ID]
    try:
        found = pq.read_schema(path).names
    except pa.ArrowInvalid as error:
        raise UserError(f"--pairs {path}: not a Parquet file ({error})") from error
    missing = [name for name in names if name not in found]
    if missing:
        has = ", ".join(found)
        raise UserError(f"--pairs {path}: no column {', '.join(missing)}; it has {has}")
    table = pq.read_table(path, columns=names)
    if any(table[name].null_count for name in names):
        raise UserError(f"--pairs {path}: an id is missing; every row needs both")
    # Ids may be numbers in the file; the model has texts.
    users, movies = (
        table[name].cast(pa.string()).cast(pa.binary()).to_numpy().astype(object) for name in names
    )
    return users, movies


def _write(make: Callable[[], Export], folder: Path) -> None:
    """Writes an export with its progress on standard error, and says how fast it was."""
    from rich.console import Console
    from rich.progress import Progress

    with output.hidden_logs() as screen:
        from pipeline import bulk_export

        console = Console(file=screen)
        made = make()
        started = time.perf_counter()
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("blocks", total=made.blocks)
            written = bulk_export.write(made, folder, lambda: progress.advance(task))
        seconds = time.perf_counter() - started
    new = written.rows - written.kept
    continued = f", {written.kept:,} of them from before" if written.kept else ""
    output.print_line(
        f"{folder}: {written.rows:,} rows{continued}; {new:,} in {seconds:.1f} s "
        f"({new / seconds:,.0f} rows/s)"
    )
