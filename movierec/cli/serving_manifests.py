"""The command that renders a cluster's manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movierec.cli.options import ConfigFile, Overrides


def serving_manifests(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The folder for serving.yaml; printed if not given."),
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Render what serves a model in a Kubernetes cluster."""
    from kubeflow.manifests import render
    from pipeline.config.tree import load_config

    text = render.render(load_config(config, overrides or ()))
    if output is None:
        print(text, end="")
    else:
        print(render.write(text, output))
