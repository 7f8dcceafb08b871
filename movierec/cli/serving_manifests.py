"""`movierec serving-manifests`: what serves a model in a Kubernetes cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movierec.cli import options
from movierec.cli.kubeflow_package import check_kubeflow_package
from movierec.cli.output import print_line


def serving_manifests(
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder for serving.yaml. Without it, the manifests are printed.",
        ),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            metavar="DIR",
            help="Workspace whose pinned version is served, unless kubernetes.model_version says "
            "another. The cluster must have the same versions.",
        ),
    ] = None,
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
) -> None:
    """Write the Kubernetes or KServe manifests of a model server.

    Example: movierec serving-manifests --set
    kubernetes.model_location=pvc://models/serving/movierec -o deploy
    """
    check_kubeflow_package()
    from kubeflow.manifests import render
    from pipeline.config.tree import load_config
    from pipeline.workspace import Workspace
    from serving.version_pin import read_pin

    effective = load_config(config, overrides or ())
    if workspace is not None and effective.kubernetes.model_version is None:
        pinned = read_pin(Workspace(workspace).serving(effective.serving.model_name)).version
        if pinned is not None:
            effective = load_config(
                config, [*(overrides or ()), f"kubernetes.model_version={pinned}"]
            )
    text = render.render(effective)
    if output is None:
        print(text, end="")
    else:
        print_line(render.write(text, output))
