"""The headings of help pages, and the help of a command without arguments."""

from __future__ import annotations

from typing import Final

import typer

# Headings of the commands.
TRAIN: Final = "Train and evaluate"
SERVE: Final = "Serve"
CLUSTER: Final = "Run and serve in a cluster"

# Headings of options.
KUBEFLOW: Final = "Kubeflow Pipelines"
VERTEX: Final = "Vertex AI"
SCHEDULE: Final = "Schedule"
SERVER: Final = "Model server"
TLS: Final = "TLS"
REQUEST_LOG: Final = "Request log"


def show_help_without_command(context: typer.Context) -> None:
    """Prints the help of a group that was called without any of its commands."""
    if context.invoked_subcommand is None:
        print(context.get_help())
