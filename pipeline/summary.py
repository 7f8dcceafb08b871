"""The summary of a run, `summary.json`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from components.drift.report import DriftReport
from components.gate.interval import Interval
from components.gate.record import GoldenComparison
from components.gate.shift import Shift
from components.serving_validator.report import ServingReport
from models.beyond_accuracy import BeyondAccuracy
from models.intervals import LEVELS
from models.records import Record
from pipeline import atomic_file
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace

SUMMARY_FILE: Final = "summary.json"

# Fields of a summary that are paths in the workspace.
_PATHS: Final = {"examples", "pushed_model", "bulk_export"}


class Rows(Record):
    """Rows of the data: read = rejected + withheld + train + eval + holdout.

    `withheld` are ratings that the golden set has too, and `golden` is its size.
    """

    read: int
    rejected: int
    rejected_by_reason: dict[str, int]
    train: int
    eval: int
    holdout: int
    withheld: int = 0
    golden: int = 0


class Rmse(Record):
    """Root mean squared error in stars.

    `eval` belongs to the weights that early stopping chose, before a refit on train + eval.
    """

    train: float
    eval: float
    holdout: float


class Mae(Record):
    """Mean absolute error in stars."""

    holdout: float


class Intervals(Record):
    """How well a model knows its own errors on the holdout, each rating taken as normal.

    `negative_log_likelihood` is the mean of −log of the density. `coverage_…` is the share of the
    ratings within the central interval of that probability, in percent.
    """

    negative_log_likelihood: float
    coverage_50: float
    coverage_80: float
    coverage_95: float

    @property
    def coverages(self) -> dict[float, float]:
        """Share of the ratings within the central interval of each probability."""
        return {level: getattr(self, f"coverage_{round(100 * level)}") for level in LEVELS}


class Ranking(Record):
    """Ranks of the liked movies of the holdout among all movies that their users had not rated.

    `liked_rating` is the lowest rating of a liked movie. `popularity_…` are the figures of ranking
    by popularity. `eval_…` belong to the weights that early stopping chose;
    `eval_top_k_accuracy` is TFRS's, by k.
    """

    liked_rating: float
    ndcg_at_10: float
    recall_at_10: float
    popularity_ndcg_at_10: float
    popularity_recall_at_10: float
    eval_ndcg_at_10: float
    eval_top_k_accuracy: dict[str, float]


class Baselines(Record):
    """Holdout RMSE of predictions that do not depend on taste."""

    global_mean: float
    bias_only: float


class Tuning(Record):
    """Result of the search: the best values by key and their figure on eval.

    `trials` is the number of trials that finished.
    """

    trials: int
    eval_figure: float
    best: dict[str, float]


class Gate(Record):
    """The verdict of the gate, with its thresholds.

    `threshold` is the highest allowed RMSE, and `max_regression` the largest allowed rise above
    `baseline_rmse`, the last blessed model's RMSE on the same holdout. Retrieval models must gain
    `min_gain_over_popularity`, and their NDCG@10 and Recall@10 may fall at most
    `max_ranking_regression` below the last blessed model's.

    `above_best` is how far RMSE is above the best blessed model's, summed over the runs since, and
    at most `max_drift_from_best`; `below_best` is the same for NDCG@10. `baseline_rmse` may differ
    from `baseline_rmse_when_blessed`, the same model's on the holdout of its own run, by
    `max_baseline_shift`, and NDCG@10 of a model that predicts no ratings by
    `max_baseline_ndcg_shift`. `baseline_shift` is that difference without the user who moves it
    most, and `baseline_move_accepted` says that a person accepted it. A rating model must gain
    `min_gain_over_biases` over the bias-only prediction. `interval` is the confidence interval of
    the change of RMSE, and `ndcg_interval` that of the change of NDCG@10. `golden` has the figures
    on the golden set, on which RMSE may rise, and NDCG@10 fall, by `max_golden_regression` from the
    best blessed model's. `lists` are the figures of the recommendation lists, where
    `min_catalogue_coverage` or `max_popularity_lift` limits them.
    """

    blessed: bool
    threshold: float
    max_regression: float
    min_gain_over_popularity: float
    max_ranking_regression: float
    max_drift_from_best: float
    max_baseline_shift: float
    max_baseline_ndcg_shift: float
    min_gain_over_biases: float
    baseline_rmse: float | None
    baseline_rmse_when_blessed: float | None
    baseline_shift: Shift | None = None
    baseline_move_accepted: bool = False
    interval: Interval | None
    ndcg_interval: Interval | None = None
    baseline_ndcg_at_10: float | None
    baseline_ndcg_at_10_when_blessed: float | None
    baseline_recall_at_10: float | None = None
    above_best: float
    below_best: float = 0.0
    golden: GoldenComparison | None = None
    max_golden_regression: float
    min_catalogue_coverage: float | None = None
    max_popularity_lift: float | None = None
    lists: BeyondAccuracy | None = None
    reason: str


class Summary(Record):
    """A run that reached its end, whether the model was pushed or not.

    Attributes:
        recognised: Line on what was recognised in the files of the ratings.
        model: Name in the registry.
        rmse: RMSE; None, like `mae` and `calibration`, for a model that predicts no ratings.
        calibration: Mean prediction over mean rating on the holdout; 1 is unbiased.
        intervals: Figures of a model that says how sure its ratings are; None for others.
        ranking: Figures of a retrieval model; None for others.
        baselines: Figures of simple predictions of ratings.
        warm_start: Line on the weights that the training began with; None without
            `training.warm_start`.
        tuning: Result of the search; None without one.
        slices: Holdout RMSE by slice, `feature=value`; NDCG@10 for a model that predicts no
            ratings.
        slice_errors: Standard error of NDCG@10 by slice, with users as the sample, without slices
            of one user; empty for a model that predicts ratings.
        drift: Moves of the data since the last blessed model.
        examples: Folder of the run's ratings, by split.
        pushed_model: Folder of the version that a model server serves now; None if the gate or the
            ServingValidator did not bless the model, or a pin kept it out.
        pin_verdict: What a pin or a rollback meant for the push; None if there was none.
        bulk_export: Folder of the bulk export, with a folder for each of its kinds; None if nothing
            was exported.
        seconds: Wall time by step, and `total`.
        peak_memory_mb: Largest memory of each step's process until its end, in megabytes; empty for
            a summary of an earlier release.
        cached: Steps whose earlier result was used.
    """

    run_id: str
    dataset: str
    recognised: str = ""
    model: str
    rows: Rows
    rmse: Rmse | None
    mae: Mae | None
    calibration: float | None
    intervals: Intervals | None = None
    ranking: Ranking | None
    baselines: Baselines
    slices: dict[str, float]
    slice_errors: dict[str, float] = Field(default_factory=dict)
    drift: DriftReport
    gate: Gate
    serving: ServingReport
    best_epoch: int
    warm_start: str | None = None
    tuning: Tuning | None
    examples: str
    pushed_model: str | None
    pin_verdict: str | None = None
    bulk_export: str | None = None
    seconds: dict[str, float]
    peak_memory_mb: dict[str, float] = Field(default_factory=dict)
    cached: list[str]

    @property
    def version(self) -> str | None:
        """Version of the pushed model; None if it was not pushed."""
        return None if self.pushed_model is None else Path(self.pushed_model).name

    @property
    def refusal(self) -> str | None:
        """Reason why the model was not pushed, in one line; None if it was."""
        reasons = [verdict.reason for verdict in (self.gate, self.serving) if not verdict.blessed]
        if self.pushed_model is None and self.pin_verdict:
            reasons.append(self.pin_verdict)
        return "; ".join(reasons) or None


def with_paths_in(workspace: Workspace, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns fields of a summary whose relative paths have become absolute.

    Args:
        workspace: Workspace that the paths are relative to.
        fields: Fields by name. Absolute paths stay as they are.
    """
    root = workspace.root.resolve()
    paths = {name: str(root / fields[name]) for name in _PATHS if fields.get(name)}
    return {**fields, **paths}


def write(workspace: Workspace, summary: Summary) -> None:
    """Writes the JSON into the run's folder, with paths that are relative to the workspace."""
    root = workspace.root.resolve()
    paths = {
        name: os.path.relpath(path, root)
        for name in _PATHS
        if (path := getattr(summary, name)) and Path(path).is_relative_to(root)
    }
    atomic_file.write_text(
        workspace.runs / summary.run_id / SUMMARY_FILE,
        summary.model_copy(update=paths).model_dump_json(indent=2) + "\n",
    )


def of_pushed_model(workspace: Workspace, pushed_model: Path) -> Summary:
    """Returns the summary of the newest run that pushed a version.

    Raises:
        UserError: No run of the workspace pushed it.
    """
    for summary in newest_first(workspace):
        if summary.pushed_model == str(pushed_model.resolve()):
            return summary
    raise UserError(f"{workspace.runs}: no run there pushed {pushed_model}")


def newest_first(workspace: Workspace) -> Iterator[Summary]:
    """Yields the summaries of the runs that reached their end, with resolved paths."""
    for path in sorted(workspace.runs.glob(f"*/{SUMMARY_FILE}"), reverse=True):
        try:
            summary = Summary.model_validate_json(path.read_bytes())
        except ValidationError:
            # A summary of another release, or a truncated one, tells nothing.
            continue
        paths = with_paths_in(workspace, summary.model_dump(include=_PATHS))
        # The folder of the versions may be a link to another volume.
        resolved = {name: path and str(Path(path).resolve()) for name, path in paths.items()}
        yield summary.model_copy(update=resolved)
