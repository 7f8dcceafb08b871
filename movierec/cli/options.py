"""Options that several commands have. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_WORKSPACE: Final = Path("workspace")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with the configuration. Keys that it leaves out keep their defaults.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Value of one configuration key, instead of the file's. May be repeated.",
    ),
]
WorkspaceFolder = Annotated[
    Path,
    typer.Option("--workspace", metavar="DIR", help="Folder for everything that runs write."),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model-name",
        metavar="NAME",
        help="Name under which the model is served (configuration key serving.model_name).",
    ),
]
PushedVersion = Annotated[
    int | None,
    typer.Option(
        "--version", metavar="NUMBER", help="Version of the model; the served one if not given."
    ),
]
DEFAULT_REASON: Final = "no reason given"
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Reason for the log of the versions.")
]
UserId = Annotated[
    str,
    typer.Option(
        "--user",
        metavar="ID",
        help="ID of the user. A user whom the model does not know gets popular movies.",
    ),
]
Genres = Annotated[
    list[str] | None,
    typer.Option(
        "--genre",
        metavar="NAME",
        help="Genre to choose among, spelt as in the data. May be repeated, and joined with "
        "--among.",
    ),
]
Among = Annotated[
    list[str] | None,
    typer.Option("--among", metavar="ID", help="ID of a movie to choose among. May be repeated."),
]
MovieCount = Annotated[
    int, typer.Option("-k", metavar="NUMBER", min=1, help="Number of movies to show.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
CompiledJob = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="JSON or YAML file that `movierec compile` wrote."),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        metavar="NAME=VALUE",
        help="Value of a pipeline parameter, instead of the file's. May be repeated.",
    ),
]
