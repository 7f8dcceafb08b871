"""MovieLensExampleGen's executor, run as a step of a pipeline runs it."""

import json
from pathlib import Path

from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts, standard_component_specs

from components.movielens_example_gen import executor, report
from components.movielens_example_gen.options import IngestOptions
from pipeline.config.beam import EXAMPLE_GEN, BeamConfig


def run_step(
    base: Path | str, options: IngestOptions, output: Path | str, fingerprint: str | None = None
) -> report.IngestReport:
    """Writes the examples to `output` and returns the report.

    Args:
        base: Path of the ratings.
        options: Options of reading.
        output: Folder of the artifact.
        fingerprint: Digest that the driver took; None as for a step without a driver.
    """
    examples = standard_artifacts.Examples()
    examples.uri = str(output)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BeamConfig().arguments_for(EXAMPLE_GEN, None),
        tmp_dir=f"{output}-unused",
        unique_id="1",
    )
    properties = {
        standard_component_specs.INPUT_BASE_KEY: str(base),
        standard_component_specs.CUSTOM_CONFIG_KEY: json.dumps(
            {"ingest": options.model_dump(mode="json")}
        ),
    }
    if fingerprint is not None:
        properties["input_fingerprint"] = fingerprint
    executor.Executor(context).Do(
        {}, {standard_component_specs.EXAMPLES_KEY: [examples]}, properties
    )
    return report.read(examples.uri)
