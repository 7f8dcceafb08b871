"""Collects the summary of a run from the outputs of its steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components import rating_baselines
from components.atomic_pusher import PIN_VERDICT_KEY
from components.drift.component import read_report
from components.gate.component import read_judgement
from components.gate.judgement import Judgement
from components.movielens_example_gen import report as ingest_report
from components.serving_validator import blessing as serving_blessing
from models.training import history
from pipeline import graph, interval_metrics, summary
from pipeline.bulk_export_step import EXPORT_KEY, EXPORTED_KEY
from pipeline.config.tree import PipelineConfig
from pipeline.gate_verdict import GateReport, read_gate_report
from pipeline.metadata import Outputs
from pipeline.ranking_metrics import NDCG, POPULARITY_NDCG, POPULARITY_RECALL, RECALL
from pipeline.rating_metrics import CALIBRATION, MAE, RMSE


def collect(config: PipelineConfig, outputs: Outputs) -> dict[str, Any]:
    """Returns the fields of a summary on the data, the model, the gate and the push.

    Args:
        config: Configuration of the run.
        outputs: Artifacts of the run by step and key.

    Returns:
        All fields of `summary.Summary` but the run's id, the times and the cached steps.
    """
    examples = outputs[graph.EXAMPLE_GEN]["examples"].uri
    ingest = ingest_report.read(examples)
    training = history.read(outputs[graph.TRAINER]["model_run"].uri)
    gate = read_gate_report(outputs[graph.EVALUATOR]["evaluation"].uri, config.gate)
    pushed = outputs[graph.PUSHER]["pushed_model"].custom_properties
    judgement = read_judgement(outputs[graph.GATE]["blessing"].uri)
    return {
        "dataset": ingest.edition,
        "recognised": ingest.recognised,
        "model": config.model.name,
        "rows": summary.Rows(
            read=ingest.read,
            rejected=ingest.rejected,
            rejected_by_reason=ingest.rejected_by_reason,
            **ingest.splits,
            withheld=ingest.withheld,
            golden=ingest.golden,
        ),
        **_rating_figures(training, gate),
        "intervals": summary.Intervals.model_validate(
            {name: gate.candidate[name] for name in interval_metrics.NAMES}
        )
        if config.model.predicts_intervals
        else None,
        "ranking": _ranking(config.model.liked_rating, training, gate)
        if config.model.retrieves
        else None,
        "baselines": summary.Baselines.model_validate(
            rating_baselines.read(outputs[graph.BASELINES]["baselines"].uri)
        ),
        "slices": gate.slices,
        "slice_errors": gate.slice_errors,
        "drift": read_report(outputs[graph.DRIFT_VALIDATOR]["drift"].uri),
        "gate": _gate(config, gate, judgement),
        "serving": serving_blessing.read_report(outputs[graph.SERVING_VALIDATOR]["blessing"].uri),
        "best_epoch": training.best_epoch,
        "warm_start": training.warm_start,
        "tuning": _tuning(outputs) if config.tuning.enabled else None,
        "examples": examples,
        "pushed_model": pushed["pushed_destination"].string_value or None,
        "pin_verdict": pushed[PIN_VERDICT_KEY].string_value or None,
        "bulk_export": _bulk_export(outputs),
    }


def _gate(config: PipelineConfig, report: GateReport, judgement: Judgement) -> summary.Gate:
    failures = [*report.failures, *judgement.failures]
    limits = config.gate
    return summary.Gate(
        blessed=not failures,
        threshold=limits.max_rmse,
        max_regression=limits.max_regression,
        min_gain_over_popularity=limits.min_gain_over_popularity,
        max_ranking_regression=limits.max_ranking_regression,
        max_drift_from_best=limits.max_drift_from_best,
        max_baseline_shift=limits.max_baseline_shift,
        max_baseline_ndcg_shift=limits.max_baseline_ndcg_shift,
        min_gain_over_biases=limits.min_gain_over_biases,
        baseline_rmse=report.baseline.get(RMSE),
        baseline_rmse_when_blessed=judgement.baseline_rmse_when_blessed,
        baseline_shift=judgement.shift,
        baseline_move_accepted=judgement.move_accepted,
        interval=judgement.interval,
        ndcg_interval=judgement.ndcg_interval,
        baseline_ndcg_at_10=report.baseline.get(NDCG),
        baseline_ndcg_at_10_when_blessed=judgement.baseline_ndcg_when_blessed,
        baseline_recall_at_10=report.baseline.get(RECALL),
        above_best=judgement.above_best,
        below_best=judgement.below_best,
        golden=judgement.golden,
        max_golden_regression=limits.max_golden_regression,
        min_catalogue_coverage=limits.min_catalogue_coverage,
        max_popularity_lift=limits.max_popularity_lift,
        lists=judgement.lists,
        reason="; ".join(failures or [*report.merits, *judgement.notes]),
    )


def _bulk_export(outputs: Outputs) -> str | None:
    """Returns the folder of what was exported in bulk, if anything was."""
    if graph.BULK_EXPORT not in outputs:
        return None
    export = outputs[graph.BULK_EXPORT][EXPORT_KEY]
    return str(export.uri) if export.custom_properties[EXPORTED_KEY].string_value else None


def _tuning(outputs: Outputs) -> summary.Tuning:
    """Returns the result of TFX's Tuner, which writes the finished trials, best first."""
    results = Path(outputs[graph.TUNER]["tuner_results"].uri, "tuner_results.json")
    trials = json.loads(results.read_text(encoding="utf-8"))
    best = trials[0]
    return summary.Tuning(
        trials=len(trials),
        eval_figure=best["score"],
        best={key: value for key, value in best.items() if key not in ("score", "trial_id")},
    )


def _rating_figures(training: history.TrainingHistory, gate: GateReport) -> dict[str, Any]:
    """Returns the fields about ratings; None for a model that predicts none."""
    if RMSE not in gate.candidate:
        return dict.fromkeys(("rmse", "mae", "calibration"))
    return {
        "rmse": summary.Rmse.model_validate(
            {
                "train": training.train_rmse,
                "eval": training.eval_rmse,
                "holdout": gate.candidate[RMSE],
            }
        ),
        "mae": summary.Mae(holdout=gate.candidate[MAE]),
        "calibration": gate.candidate[CALIBRATION],
    }


def _ranking(
    liked_rating: float, training: history.TrainingHistory, gate: GateReport
) -> summary.Ranking:
    names = (NDCG, RECALL, POPULARITY_NDCG, POPULARITY_RECALL)
    return summary.Ranking.model_validate(
        {
            "liked_rating": liked_rating,
            **{name: gate.candidate[name] for name in names},
            "eval_ndcg_at_10": training.eval_figure,
            "eval_top_k_accuracy": training.eval_top_k_accuracy,
        }
    )
