"""Gathers what the steps of a run wrote into its summary."""

from __future__ import annotations

from components.movielens_example_gen import report as ingest_report
from components.rating_baselines import executor as rating_baselines
from models import features, history
from pipeline import graph, summary
from pipeline.config import PipelineConfig
from pipeline.gate_report import read_gate_report
from pipeline.metadata import Outputs


def collect(
    config: PipelineConfig,
    run_id: str,
    outputs: Outputs,
    seconds: dict[str, float],
    cached: list[str],
) -> summary.Summary:
    """The summary of a run whose every step ended.

    Args:
        config: what was run.
        run_id: the name of the run's folder.
        outputs: the run's artifacts, by step and key.
        seconds: wall time by step, and `total`.
        cached: steps whose earlier result was used.
    """
    examples = outputs[graph.EXAMPLE_GEN]["examples"].uri
    ingest = ingest_report.read(examples)
    training = history.read(outputs[graph.TRAINER]["model_run"].uri)
    gate = read_gate_report(outputs[graph.EVALUATOR]["evaluation"].uri, config.gate)
    pushed = outputs[graph.PUSHER]["pushed_model"].custom_properties
    blessing = outputs[graph.EVALUATOR]["blessing"].custom_properties
    return summary.Summary(
        run_id=run_id,
        dataset=config.data.dataset,
        model=config.model.name,
        rows=summary.Rows(
            read=ingest.read,
            rejected=ingest.rejected,
            rejected_by_reason=ingest.rejected_by_reason,
            **{split: ingest.splits[split] for split in features.SPLITS},
        ),
        rmse=summary.Rmse(train=training.train_rmse, eval=training.eval_rmse, holdout=gate.rmse),
        mae=summary.Mae(holdout=gate.mae),
        baselines=summary.Baselines.model_validate(
            rating_baselines.read(outputs[graph.BASELINES]["baselines"].uri)
        ),
        slices=gate.slices,
        gate=summary.Gate(
            blessed=blessing["blessed"].int_value == 1,
            threshold=config.gate.max_rmse,
            max_regression=config.gate.max_regression,
            baseline_rmse=gate.baseline_rmse,
            reason=gate.reason,
        ),
        best_epoch=training.best_epoch,
        examples=examples,
        pushed_model=pushed["pushed_destination"].string_value or None,
        seconds={step: round(value, 3) for step, value in seconds.items()},
        cached=[step for step in cached if step in outputs],
    )
