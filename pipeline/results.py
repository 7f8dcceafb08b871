"""Gathers what the steps of a run wrote into its summary."""

from __future__ import annotations

from typing import Any

from components.movielens_example_gen import report as ingest_report
from components.rating_baselines import executor as rating_baselines
from models import history
from pipeline import graph, summary
from pipeline.config import PipelineConfig
from pipeline.gate_report import read_gate_report
from pipeline.metadata import Outputs


def collect(config: PipelineConfig, outputs: Outputs) -> dict[str, Any]:
    """What a summary says of the data, the model, the gate and the push.

    Args:
        config: what was run.
        outputs: the run's artifacts, by step and key.

    Returns:
        The fields of `summary.Summary` other than the run's id, times and cached steps.
    """
    examples = outputs[graph.EXAMPLE_GEN]["examples"].uri
    ingest = ingest_report.read(examples)
    training = history.read(outputs[graph.TRAINER]["model_run"].uri)
    gate = read_gate_report(outputs[graph.EVALUATOR]["evaluation"].uri, config.gate)
    pushed = outputs[graph.PUSHER]["pushed_model"].custom_properties
    blessing = outputs[graph.EVALUATOR]["blessing"].custom_properties
    return {
        "dataset": config.data.dataset,
        "model": config.model.name,
        "rows": summary.Rows(
            read=ingest.read,
            rejected=ingest.rejected,
            rejected_by_reason=ingest.rejected_by_reason,
            **ingest.splits,
        ),
        "rmse": summary.Rmse(train=training.train_rmse, eval=training.eval_rmse, holdout=gate.rmse),
        "mae": summary.Mae(holdout=gate.mae),
        "calibration": gate.calibration,
        "baselines": summary.Baselines.model_validate(
            rating_baselines.read(outputs[graph.BASELINES]["baselines"].uri)
        ),
        "slices": gate.slices,
        "gate": summary.Gate(
            blessed=blessing["blessed"].int_value == 1,
            threshold=config.gate.max_rmse,
            max_regression=config.gate.max_regression,
            baseline_rmse=gate.baseline_rmse,
            reason=gate.reason,
        ),
        "best_epoch": training.best_epoch,
        "examples": examples,
        "pushed_model": pushed["pushed_destination"].string_value or None,
    }
