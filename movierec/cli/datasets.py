"""`movierec datasets`: what a model can be trained on, and how to get it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movierec.cli import options, output

datasets = typer.Typer(name="datasets", invoke_without_command=True)


@datasets.callback()
def list_datasets(context: typer.Context, as_json: options.AsJson = False) -> None:
    """List the datasets that a model can be trained on.

    The configuration key data.dataset chooses one.

    Example: movierec datasets fetch ml-latest-small
    """
    if context.invoked_subcommand is not None:
        return
    from components.movielens_example_gen.readers import EDITIONS

    if as_json:
        output.print_json(
            [
                {"name": name, "description": edition.description, "files": edition.files}
                for name, edition in EDITIONS.items()
            ]
        )
        return
    for name, edition in EDITIONS.items():
        print(f"{name:<15} {edition.description} ({', '.join(edition.files)})")


@datasets.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="MovieLens edition, such as ml-latest-small."),
    ],
    folder: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Folder for the archive.")
    ] = Path("datasets"),
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of a mirror's folder with the archives and their checksums; GroupLens's "
            "if not given.",
        ),
    ] = None,
) -> None:
    """Fetch an edition of MovieLens as the published archive, which a run reads as it is.

    A download that was interrupted continues where it stopped.

    Example: movierec datasets fetch ml-25m && movierec run --set data.path=datasets/ml-25m.zip
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from pipeline import dataset_download

    print(dataset_download.TERMS)
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)
        archive = dataset_download.fetch(
            name,
            folder,
            url or dataset_download.PUBLISHER,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    output.print_line(f"{archive}: the checksum is the published one")
