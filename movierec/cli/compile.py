"""`movierec compile`: the pipeline as a file that a platform runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movierec.cli import options
from movierec.cli.kubeflow_package import check_kubeflow_package
from movierec.cli.output import hidden_logs, print_line


def compile_job(
    target: Annotated[
        str,
        typer.Option(
            metavar="PLATFORM",
            help="Platform that runs the pipeline: kfp (Kubeflow Pipelines) or vertex (Vertex AI).",
        ),
    ],
    image: Annotated[
        str,
        typer.Option(
            metavar="IMAGE", help="Container image that runs every step, with a tag or a digest."
        ),
    ],
    pipeline_root: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Folder for everything that the steps write, as gs://BUCKET/PATH."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File to write: .yaml for Kubeflow Pipelines, .json for Vertex AI.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Folder of the ratings; the MovieLens-100K of the image if not given.",
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Folder for pushed models; serving/ and the model's name below the pipeline root "
            "if not given.",
        ),
    ] = None,
    golden_set: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Folder of trusted ratings to judge every model on; gate.golden_set, or none, if "
            "not given.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the pipeline; movierec if not given."),
    ] = None,
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
) -> None:
    """Compile the pipeline for Kubeflow Pipelines or Vertex AI.

    Example: movierec compile --target kfp --image registry.example.com/movierec:1.0
    --pipeline-root gs://my-bucket/movierec -o movierec.yaml
    """
    check_kubeflow_package()
    from kubeflow import targets
    from kubeflow.compiling.compile_options import CompileOptions
    from pipeline.config.tree import load_config

    chosen = targets.parse_target(target)
    targets.check_output(output, chosen)
    compiling = CompileOptions(
        target=chosen,
        image=image,
        pipeline_root=pipeline_root,
        data=data,
        push=push,
        golden_set=golden_set,
        name=CompileOptions.name if name is None else name,
    )
    settings = load_config(config, overrides or ())
    if data is None and settings.data.path is not None:
        with hidden_logs():
            from pipeline.datasets import recognised

            settings = recognised(settings)
    # Reports what can be reported before TFX, which takes seconds to import.
    compiling.parameters(settings)

    with hidden_logs():
        from kubeflow.compiling import compiler
        from movierec.report.step import report_step

        compiled = compiler.compile_pipeline(settings, compiling, report_step)
        written = compiler.write(compiled.text(), output)
    print_line(written)
