"""The step of a compiled pipeline that makes the report and the figures of its run.

Kubeflow Pipelines and Vertex AI show both in their pages: the report is an artifact of the type
`system.HTML`, and the figures are the metadata of one of the type `system.Metrics`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Final

from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, base_node, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental import simple_artifacts
from tfx.utils import io_utils, path_utils

from components import pushed_baseline
from components.step_types import Artifacts, Properties
from kubeflow.compiling.run_report import METRICS_KEY, REPORT_KEY
from movierec.report import material, page
from movierec.report.lists import reported_lists
from pipeline import graph, results
from pipeline.config.tree import PipelineConfig
from pipeline.metadata import Outputs
from pipeline.summary import Summary

# The configuration in two parts, each with a number that is a parameter of the pipeline.
CONFIG_KEY: Final = "config"
GATE_KEY: Final = "gate"

# Outputs of the steps that a summary and the report are made from: input, step, output, and type.
_SOURCES: Final[tuple[tuple[str, str, str, type[types.Artifact]], ...]] = (
    ("examples", graph.EXAMPLE_GEN, "examples", standard_artifacts.Examples),
    ("drift", graph.DRIFT_VALIDATOR, "drift", simple_artifacts.Metrics),
    ("baselines", graph.BASELINES, "baselines", simple_artifacts.Metrics),
    ("model", graph.TRAINER, "model", standard_artifacts.Model),
    ("model_run", graph.TRAINER, "model_run", standard_artifacts.ModelRun),
    (
        pushed_baseline.BASELINE_KEY,
        graph.BASELINE_MODEL,
        pushed_baseline.BASELINE_KEY,
        standard_artifacts.Model,
    ),
    ("evaluation", graph.EVALUATOR, "evaluation", standard_artifacts.ModelEvaluation),
    ("blessing", graph.GATE, "blessing", standard_artifacts.ModelBlessing),
    ("serving", graph.SERVING_VALIDATOR, "blessing", standard_artifacts.InfraBlessing),
    ("pushed_model", graph.PUSHER, "pushed_model", standard_artifacts.PushedModel),
)
_TUNER_SOURCE: Final = ("tuner_results", graph.TUNER, "tuner_results")


class Executor(base_executor.BaseExecutor):
    """Makes the page, and puts the figures where the platforms' pages look for them."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step."""
        self._log_startup(input_dict, output_dict, exec_properties)
        config = PipelineConfig.model_validate(
            {
                **json.loads(exec_properties[CONFIG_KEY]),
                "gate": json.loads(exec_properties[GATE_KEY]),
            }
        )
        summary = Summary(
            **results.collect(config, read_outputs(input_dict)),
            run_id=f"{datetime.now(UTC):%Y%m%d-%H%M%S}",
            seconds={},
            cached=[],
        )
        model = artifact_utils.get_single_instance(input_dict["model"])
        baseline = artifact_utils.get_single_instance(input_dict[pushed_baseline.BASELINE_KEY])
        last_model = path_utils.serving_model_dir(baseline.uri)
        gathered = material.gather(
            summary,
            config,
            model_run=artifact_utils.get_single_uri(input_dict["model_run"]),
            export=path_utils.serving_model_path(model.uri),
            # Without an earlier model, the artifact has none.
            last_model=last_model if fileio.exists(last_model) else None,
            last=None,
        )
        # The platforms show what is at the address itself.
        report = artifact_utils.get_single_instance(output_dict[REPORT_KEY])
        fileio.makedirs(os.path.dirname(report.uri))
        io_utils.write_string_file(report.uri, page.render(gathered, {}))
        metrics = artifact_utils.get_single_instance(output_dict[METRICS_KEY])
        figures = _figures(gathered)
        for name, value in figures.items():
            metrics.set_float_custom_property(name, value)
        io_utils.write_string_file(metrics.uri, json.dumps(figures, indent=2))


class RunReportSpec(ComponentSpec):
    """Takes the outputs of the steps and the configuration; writes a page and figures."""

    PARAMETERS: ClassVar = {
        CONFIG_KEY: ExecutionParameter(type=str),
        GATE_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        **{name: ChannelParameter(type=kind) for name, _, _, kind in _SOURCES},
        _TUNER_SOURCE[0]: ChannelParameter(type=standard_artifacts.TunerResults, optional=True),
    }
    OUTPUTS: ClassVar = {
        REPORT_KEY: ChannelParameter(type=simple_artifacts.File),
        METRICS_KEY: ChannelParameter(type=simple_artifacts.Metrics),
    }


class RunReport(base_component.BaseComponent):
    """Shows a run of a compiled pipeline in its platform's pages."""

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def report_step(steps: Mapping[str, base_node.BaseNode], config: PipelineConfig) -> RunReport:
    """Returns the step that reports on a run.

    Args:
        steps: Other steps of the pipeline by id.
        config: Configuration of the pipeline.
    """
    inputs = {name: steps[step].outputs[key] for name, step, key, _ in _SOURCES}
    name, step, key = _TUNER_SOURCE
    if step in steps:
        inputs[name] = steps[step].outputs[key]
    return RunReport(
        RunReportSpec(
            **inputs,
            config=config.model_dump_json(exclude={"gate"}, exclude_none=True),
            gate=config.gate.model_dump_json(exclude_none=True),
            report=types.Channel(type=simple_artifacts.File),
            metrics=types.Channel(type=simple_artifacts.Metrics),
        )
    )


def read_outputs(inputs: Artifacts) -> Outputs:
    """Returns the artifacts in the form that ML Metadata gives a local run's."""
    sources = [(name, step, key) for name, step, key, _ in _SOURCES] + [_TUNER_SOURCE]
    made: dict[str, dict[str, metadata_store_pb2.Artifact]] = {}
    for name, step, key in sources:
        if inputs.get(name):
            artifact = artifact_utils.get_single_instance(inputs[name])
            # Platforms' metadata arrives as structures, which the accessors of TFX take apart.
            texts = {
                name_: metadata_store_pb2.Value(
                    string_value=artifact.get_string_custom_property(name_)
                )
                for name_ in artifact.mlmd_artifact.custom_properties
            }
            made.setdefault(step, {})[key] = metadata_store_pb2.Artifact(
                uri=artifact.uri, custom_properties=texts
            )
    return made


def _figures(gathered: material.Material) -> dict[str, float]:
    """Returns the figures of a run by name; what does not apply to its model is left out."""
    summary = gathered.summary
    lists = reported_lists(gathered).figures
    figures: dict[str, float | None] = {
        "calibration": summary.calibration,
        "last_model_holdout_rmse": summary.gate.baseline_rmse,
        "global_mean_rmse": summary.baselines.global_mean,
        "bias_only_rmse": summary.baselines.bias_only,
        "last_model_ndcg_at_10": summary.gate.baseline_ndcg_at_10,
        "catalogue_coverage": lists.coverage,
        "gini": lists.gini,
        "novelty": lists.novelty,
        "popularity_lift": lists.popularity_lift,
        "model_blessed": float(summary.gate.blessed and summary.serving.blessed),
        "model_pushed": float(summary.pushed_model is not None),
    }
    if summary.rmse is not None:
        figures |= {f"{split}_rmse": value for split, value in summary.rmse.model_dump().items()}
    if summary.mae is not None:
        figures["holdout_mae"] = summary.mae.holdout
    if summary.intervals is not None:
        figures |= summary.intervals.model_dump()
    if summary.ranking is not None:
        names = ("ndcg_at_10", "recall_at_10", "popularity_ndcg_at_10", "popularity_recall_at_10")
        figures |= summary.ranking.model_dump(include=set(names))
    return {name: value for name, value in figures.items() if value is not None}
