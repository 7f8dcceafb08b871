"""The summary of a compiled job that ran on this machine, in the form of `movierec run --json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ml_metadata.proto import metadata_store_pb2

from kubeflow.compiling.pipeline_spec import task_name
from kubeflow.local_execution import values
from kubeflow.local_execution.job import Constant, Job, PipelineInput
from kubeflow.local_execution.outcome import Result, State
from kubeflow.local_execution.values import Value
from kubeflow.parameters import filled_in
from pipeline import graph, results
from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig
from pipeline.gate import read_gate
from pipeline.metadata import Outputs
from pipeline.summary import Summary

_NEEDED: Final = (
    graph.EXAMPLE_GEN,
    graph.DRIFT_VALIDATOR,
    graph.BASELINES,
    graph.TRAINER,
    graph.EVALUATOR,
    graph.GATE,
    graph.SERVING_VALIDATOR,
    graph.PUSHER,
)


def collect(job: Job, parameters: Mapping[str, Value], result: Result) -> Summary:
    """Returns the summary of a run all of whose tasks succeeded.

    Args:
        job: Compiled job that was run.
        parameters: Values of all inputs of the pipeline.
        result: Result of the run.

    Raises:
        UserError: The job is not one that `movierec compile` writes.
    """
    missing = [task_name(step) for step in _NEEDED if task_name(step) not in job.tasks]
    if missing:
        raise UserError(
            f"--json: the job has no task {missing[0]}; expected what `movierec compile` writes"
        )
    seconds = {name: outcome.seconds for name, outcome in result.outcomes.items()}
    return Summary(
        **results.collect(_configuration(job, parameters), _outputs(result)),
        run_id=result.folder.name,
        seconds={
            name: round(value, 3) for name, value in {**seconds, "total": result.seconds}.items()
        },
        cached=result.tasks(State.CACHED),
    )


def _configuration(job: Job, parameters: Mapping[str, Value]) -> PipelineConfig:
    """Returns the configuration that the constants of the steps were compiled from.

    It has only the keys that the summary needs.
    """

    def constant(step: str, name: str) -> str:
        sources = job.tasks[task_name(step)].parameters
        given = {
            key: values.text(parameters[source.name])
            for key, source in sources.items()
            if isinstance(source, PipelineInput)
        }
        source = sources[name]
        return filled_in(str(source.value), given) if isinstance(source, Constant) else ""

    ingest = json.loads(constant(graph.EXAMPLE_GEN, "custom_config"))["ingest"]
    training = json.loads(constant(graph.TRAINER, "custom_config"))
    return PipelineConfig.model_validate(
        {
            "data": {"dataset": ingest["edition"]},
            "model": training["model"],
            "gate": {
                **read_gate(constant(graph.EVALUATOR, "eval_config")).model_dump(),
                **json.loads(constant(graph.GATE, "limits")),
            },
            "tuning": {"enabled": task_name(graph.TUNER) in job.tasks},
        }
    )


def _outputs(result: Result) -> Outputs:
    """Returns the artifacts of the run in the form that ML Metadata gives a local run's."""
    made: Outputs = {}
    for step in (*_NEEDED, graph.TUNER, graph.BULK_EXPORT):
        outcome = result.outcomes.get(task_name(step))
        if outcome is not None and outcome.outputs is not None:
            made[step] = {
                key: metadata_store_pb2.Artifact(
                    uri=record["uri"],
                    custom_properties={
                        name: _value(value) for name, value in record.get("metadata", {}).items()
                    },
                )
                for key, record in outcome.outputs.artifacts.items()
            }
    return made


def _value(value: Any) -> metadata_store_pb2.Value:
    # JSON holds every number as a double.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return metadata_store_pb2.Value(int_value=value)
    return metadata_store_pb2.Value(string_value=values.text(value))
