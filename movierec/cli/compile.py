"""The command that compiles the pipeline for a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from movierec.cli.options import ConfigFile, Overrides


def compile_job(
    target: Annotated[str, typer.Option(help="vertex or kfp.")],
    image: Annotated[str, typer.Option(help="Of every step, with a tag or a digest.")],
    pipeline_root: Annotated[
        str, typer.Option(help="The folder for what the steps write, as gs://BUCKET/PATH.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file: .json, or .yaml.")],
    data: Annotated[
        str | None,
        typer.Option(help="The folder of the ratings; what the image has if not given."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(help="The folder of pushed models; below the pipeline root if not given."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The pipeline's; movierec if not given.")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Compile the pipeline for Kubeflow Pipelines or Vertex AI."""
    from kubeflow import targets
    from kubeflow.compiling.compile_options import CompileOptions
    from pipeline import run_log
    from pipeline.config.tree import load_config

    chosen = targets.parse_target(target)
    targets.check_output(output, chosen)
    options = CompileOptions(
        target=chosen,
        image=image,
        pipeline_root=pipeline_root,
        data=data,
        push=push,
        name=CompileOptions.name if name is None else name,
    )
    settings = load_config(config, overrides or ())
    # What can be said without TFX, which takes its time to import, is said before.
    options.parameters(settings)

    with run_log.redirected(Path(os.devnull)):
        from kubeflow.compiling import compiler

        written = compiler.write(compiler.compile_pipeline(settings, options).text(), output)
    print(written)
