"""Everything that the report on a run is made from."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

# TFX comes first: it stands in for a module that TFDV misses.
from tfx.dsl.io import fileio
from tfx.utils import path_utils

from components.recommendation_lists import TrainingCounts, read_counts
from models import features
from models.training import history
from movierec.report.rated_rows import RatedRows, read_rows
from pipeline import graph, metadata
from pipeline.config.tree import PipelineConfig, load_config
from pipeline.summary import Summary, newest_first
from pipeline.workspace import Workspace
from serving.pushed_model import PushedModel

_CONFIG_FILE: Final = "config.toml"
# Rows of a split that are read: more would take longer than a reader waits.
MOST_ROWS: Final = 100_000

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Material:
    """Everything that the report on a run is made from.

    Attributes:
        summary: Summary of the run.
        config: Configuration of the run.
        training: History of the training.
        rejected: Path of the rejected rows as CSV.
        model: Exported model of the run.
        popularity: Tables of that export.
        train: Training ratings.
        holdout: Ratings of the holdout.
        predicted: Predicted ratings of the holdout, float64 `[n]`; None if the model predicts none.
        last_model: Last blessed model; None if there is none, or if it is gone.
        last_predicted: Those of the last blessed model; None if it is gone or predicts none.
        last: Summary of the run that made the last blessed model; None if there is none.
    """

    summary: Summary
    config: PipelineConfig
    training: history.TrainingHistory
    rejected: str
    model: PushedModel
    popularity: TrainingCounts
    train: RatedRows
    holdout: RatedRows
    predicted: Vector | None
    last_model: PushedModel | None
    last_predicted: Vector | None
    last: Summary | None


def collect(workspace: Workspace, summary: Summary, before: Summary | None = None) -> Material:
    """Reads the outputs of a run, and predictions of another model on the same holdout.

    Args:
        workspace: Workspace of the run.
        summary: Summary of the run.
        before: Run whose model stands for the last blessed one; None for the last blessed one.

    Raises:
        OSError: Some of the outputs are gone.
        UnreadableModelError: A model cannot be loaded.
    """
    config = run_config(workspace, summary)
    if before is None:
        last_model = _last_version(workspace, config, summary)
        before = None if last_model is None else _run_that_pushed(workspace, last_model)
    else:
        last_model = exported_model(workspace, before)
    return gather(
        summary,
        config,
        model_run=str(_trained(workspace, summary, "model_run")),
        export=str(exported_model(workspace, summary)),
        last_model=None if last_model is None else str(last_model),
        last=before,
    )


def gather(
    summary: Summary,
    config: PipelineConfig,
    model_run: str,
    export: str,
    last_model: str | None,
    last: Summary | None,
) -> Material:
    """Reads the outputs of a run, on this machine or in cloud storage.

    Args:
        summary: Summary of the run.
        config: Configuration of the run.
        model_run: Folder of what the Trainer wrote about the training.
        export: Folder of the exported model.
        last_model: Folder of the last blessed model, which may be gone; None if there is none.
        last: Summary of the run that made the last blessed model; None if it is not known.

    Raises:
        OSError: Some of the outputs are gone.
        UnreadableModelError: A model cannot be loaded.
    """
    for folder in (summary.examples, model_run, export):
        if not fileio.exists(folder):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    # Ratings are read while models are loaded.
    with ThreadPoolExecutor(2) as threads:
        train, holdout = (
            threads.submit(read_rows, summary.examples, split, MOST_ROWS)
            for split in (features.TRAIN, features.HOLDOUT)
        )
        model = PushedModel(export)
        if last_model is None or not fileio.exists(last_model):
            last_loaded = None
        elif last_model == summary.pushed_model:
            # The run has found its model pushed already, and loading takes a second.
            last_loaded = model
        else:
            last_loaded = PushedModel(last_model)
    rows = holdout.result()
    return Material(
        summary=summary,
        config=config,
        training=history.read(model_run),
        rejected=os.path.join(summary.examples, "rejected.csv"),
        model=model,
        popularity=read_counts(export),
        train=train.result(),
        holdout=rows,
        predicted=_predictions(model, rows),
        last_model=last_loaded,
        last_predicted=_predictions(last_loaded, rows) if last_loaded is not None else None,
        last=last,
    )


def run_config(workspace: Workspace, summary: Summary) -> PipelineConfig:
    """Returns the configuration of a run."""
    return load_config(workspace.runs / summary.run_id / _CONFIG_FILE)


def exported_model(workspace: Workspace, summary: Summary) -> Path:
    """Returns the folder of the model that a run trained, whether it was pushed or not."""
    return Path(path_utils.serving_model_dir(str(_trained(workspace, summary, "model"))))


def _trained(workspace: Workspace, summary: Summary, key: str) -> Path:
    """Returns the folder of an output of the run's Trainer."""
    database = workspace.root.resolve() / workspace.metadata_db.name
    outputs = metadata.outputs_of_run(database, summary.run_id)
    return metadata.folder_of(database, outputs[graph.TRAINER][key])


def _last_version(workspace: Workspace, config: PipelineConfig, summary: Summary) -> Path | None:
    version = summary.drift.version
    if version is None:
        return None
    return workspace.serving(config.serving.model_name).resolve() / version


def _run_that_pushed(workspace: Workspace, version: Path) -> Summary | None:
    runs = [run for run in newest_first(workspace) if run.pushed_model == str(version)]
    # Later runs may have found their model pushed already.
    return runs[-1] if runs else None


def _predictions(model: PushedModel, rows: RatedRows) -> Vector | None:
    if not model.predicts_ratings:
        return None
    columns = rows.columns
    predicted = model.predict(columns[features.USER_ID], columns[features.MOVIE_ID])
    return predicted.astype(np.float64)
