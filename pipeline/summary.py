"""The result of a run, as `summary.json`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.config.errors import UserError
from pipeline.workspace import Workspace

SUMMARY_FILE: Final = "summary.json"


class Record(BaseModel):
    """A frozen part of the summary."""

    model_config = ConfigDict(frozen=True)


class Rows(Record):
    """Rows of the data: read = rejected + train + eval + holdout."""

    read: int
    rejected: int
    rejected_by_reason: dict[str, int]
    train: int
    eval: int
    holdout: int


class Rmse(Record):
    """Root mean squared error in stars.

    `eval` is that of the weights which early stopping chose, before a refit on train + eval.
    """

    train: float
    eval: float
    holdout: float


class Mae(Record):
    """Mean absolute error in stars."""

    holdout: float


class Ranking(Record):
    """Where the liked movies of the holdout rank among all that their users had not rated.

    `liked_rating` is the lowest rating of those. `eval_ndcg_at_10` is that of the weights which
    early stopping chose; `popularity_` is what the most popular movies get; `eval_top_k_accuracy`
    is TFRS's, by k.
    """

    liked_rating: float
    ndcg_at_10: float
    recall_at_10: float
    popularity_ndcg_at_10: float
    popularity_recall_at_10: float
    eval_ndcg_at_10: float
    eval_top_k_accuracy: dict[str, float]


class Baselines(Record):
    """Holdout RMSE of predictions that know no taste."""

    global_mean: float
    bias_only: float


class Tuning(Record):
    """What the search found: the best values by key, their figure on eval, and of how many trials.

    `trials` are those that came to an end.
    """

    trials: int
    eval_figure: float
    best: dict[str, float]


class Gate(Record):
    """The verdict.

    `threshold` is the highest RMSE allowed, `max_regression` how much of a rise over
    `baseline_rmse`, which is the last blessed model's on the same holdout. Of retrieval models
    `min_gain_over_popularity` is asked for, and `max_ranking_regression` is how far NDCG@10 and
    Recall@10 may fall below the last blessed model's.
    """

    blessed: bool
    threshold: float
    max_regression: float
    min_gain_over_popularity: float
    max_ranking_regression: float
    baseline_rmse: float | None
    baseline_ndcg_at_10: float | None
    reason: str


class Latency(Record):
    """Of requests with one row, one after the other, in milliseconds."""

    median: float
    p99: float


class Serving(Record):
    """What a model server did with the model before it could be pushed.

    `server` is which one; None if none came up with it. `max_difference` is the largest between an
    answer and what the Trainer predicted; None if it did not come to that. `latency` is by
    signature.
    """

    blessed: bool
    reason: str
    server: str | None
    max_difference: float | None
    latency: dict[str, Latency]


class Summary(Record):
    """A run that reached its end, whether the model was pushed or not.

    Attributes:
        model: the name in the registry.
        rmse: None, as `mae` and `calibration` are, for a model that predicts no ratings.
        calibration: mean prediction over mean rating on the holdout; 1 is unbiased.
        ranking: of retrieval models.
        baselines: of ratings.
        tuning: None without a search.
        slices: holdout RMSE by slice, as `feature=value`; NDCG@10 for a model that predicts no
            ratings.
        examples: folder of the run's ratings, split.
        pushed_model: folder of the version that a model server serves now; None if it was not
            blessed, by the gate or by the model server.
        seconds: `total`, and wall time by step.
        cached: steps whose earlier result was used.
    """

    run_id: str
    dataset: str
    model: str
    rows: Rows
    rmse: Rmse | None
    mae: Mae | None
    calibration: float | None
    ranking: Ranking | None
    baselines: Baselines
    slices: dict[str, float]
    gate: Gate
    serving: Serving
    best_epoch: int
    tuning: Tuning | None
    examples: str
    pushed_model: str | None
    seconds: dict[str, float]
    cached: list[str]

    @property
    def refusal(self) -> str | None:
        """Why the model was not pushed, in one line."""
        reasons = [verdict.reason for verdict in (self.gate, self.serving) if not verdict.blessed]
        return "; ".join(reasons) or None


def write(folder: Path, summary: Summary) -> None:
    """Writes the JSON into the run's folder, whole or not at all."""
    aside = folder / f".{SUMMARY_FILE}"
    aside.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
    os.replace(aside, folder / SUMMARY_FILE)


def of_pushed_model(workspace: Workspace, pushed_model: Path) -> Summary:
    """The newest run that ended with this version being served.

    Raises:
        UserError: no run of the workspace did.
    """
    for path in sorted(workspace.runs.glob(f"*/{SUMMARY_FILE}"), reverse=True):
        try:
            summary = Summary.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError:
            # Of another release, or cut: it cannot be the run that is looked for.
            continue
        if summary.pushed_model == str(pushed_model):
            return summary
    raise UserError(f"{workspace.runs}: no run there pushed {pushed_model}")
