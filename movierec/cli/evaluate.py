"""`movierec evaluate`: a pushed model on the ratings of its run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models import features
from movierec.cli import options, output
from movierec.cli.pushed_version import find_pushed_version
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from pipeline.summary import Summary


def evaluate(
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    version: options.PushedVersion = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Ratings to measure on: train, eval or holdout.")
    ] = features.HOLDOUT,
    model_name: options.ModelName = DEFAULT_MODEL,
    as_json: options.AsJson = False,
) -> None:
    """Measure a pushed model on the ratings of the run that pushed it.

    Models that predict ratings get RMSE and MAE, retrieval models NDCG@10 and Recall@10.

    Example: movierec evaluate --split train
    """
    from pipeline import summary

    if split not in features.SPLITS:
        raise UserError(f"--split {split}: expected one of {', '.join(features.SPLITS)}")
    folder = Workspace(workspace)
    pushed = find_pushed_version(folder, model_name, version)
    figures = _measure(pushed, summary.of_pushed_model(folder, pushed), split)
    if as_json:
        output.print_json({"pushed_model": str(pushed), "split": split, **figures})
        return
    if "rmse" in figures:
        output.print_line(
            f"{pushed}: RMSE {figures['rmse']:.4f}, MAE {figures['mae']:.4f} stars on the "
            f"{figures['ratings']:,} ratings of {split}"
        )
    if "ndcg" in figures:
        output.print_line(
            f"{pushed}: NDCG@10 {figures['ndcg']:.4f}, Recall@10 {figures['recall']:.4f} over the "
            f"{figures['users']:,} users who liked a movie of {split}"
        )


def _measure(pushed: Path, trained: Summary, split: str) -> dict[str, Any]:
    """Returns the figures of a pushed model on a split, by name."""
    figures: dict[str, Any] = {}
    with output.hidden_logs():
        from components import ratings
        from serving.pushed_model import PushedModel

        rated = ratings.read(trained.examples, split)
        model = PushedModel(pushed)
        if len(rated["rating"]) and model.predicts_ratings:
            figures |= asdict(ratings.errors(model, rated))
        if len(rated["rating"]) and split == features.HOLDOUT and trained.ranking is not None:
            figures |= asdict(ratings.ranking(model, rated, trained.ranking.liked_rating))
    if not len(rated["rating"]):
        raise UserError(
            f"--split {split}: {trained.examples} has no ratings of it; `movierec run` writes them"
        )
    if not figures:
        raise UserError(
            f"--split {split}: {trained.model} ranks only movies that a user has not rated, and it "
            f"was trained on these ratings; expected {features.HOLDOUT}"
        )
    return figures
