"""Renders the report on a run, and writes it beside the run's summary."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from tfx.dsl.io import fileio

from components.drift.report import compared_with
from models import features
from movierec.report import REPORT_FILE, changes, lists, sections
from movierec.report.conditions import conditions
from movierec.report.material import Material, collect
from movierec.report.slices import (
    TITLES,
    RankingSlice,
    SliceFigures,
    ranking_slices,
    rating_slices,
    whole,
)
from pipeline import atomic_file
from pipeline.dataset_download import FETCHED, TERMS
from pipeline.summary import Summary
from pipeline.workspace import Workspace
from serving.answers import figure_name

_REJECTED_SHOWN: Final = 5

_Slice = TypeVar("_Slice", SliceFigures, RankingSlice)


def write(workspace: Workspace, summary: Summary) -> Path:
    """Writes the report on a run into the run's folder, and returns its path.

    Raises:
        OSError: An output of the run is gone, or the page cannot be written.
        UnreadableModelError: The model cannot be loaded.
    """
    path = workspace.runs / summary.run_id / REPORT_FILE
    material = collect(workspace, summary)
    changed = changes.between(workspace, material.last, summary)
    atomic_file.write_text(path, render(material, changed))
    return path


def render(material: Material, changed: dict[str, list[changes.Change]]) -> str:
    """Returns the report as one HTML page that needs no other file.

    Args:
        material: Outputs of the run.
        changed: Differences from the last blessed run by kind; none where it is not known.
    """
    return environment().get_template("report.html").render(_content(material, changed))


def environment() -> Environment:
    """Returns the templates, with the filters that they use."""
    made = Environment(
        loader=PackageLoader("movierec.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["figure_name"] = figure_name
    made.globals["compared_with"] = compared_with
    made.filters["figure"] = lambda value: "–" if value is None else f"{value:.4f}"
    made.filters["signed"] = lambda value: f"{value:+.4f}"
    made.filters["count"] = lambda value: f"{value:,}"
    made.filters["share"] = lambda value: "–" if value is None else f"{value:.1%}"
    made.filters["tenths"] = lambda value: "–" if value is None else f"{value:,.1f}"
    return made


def _content(material: Material, changed: dict[str, list[changes.Change]]) -> dict[str, Any]:
    summary = material.summary
    slices = rating_slices(material)
    rmse = summary.rmse.holdout if summary.rmse is not None else None
    by_ndcg = ranking_slices(summary)
    curve = sections.ranking_curve(material)
    return {
        "summary": summary,
        "version": version_of("movierec"),
        "config": material.config,
        "conditions": conditions(summary, material.config),
        "last": material.last,
        "compared": material.last_predicted is not None,
        "changes": changed,
        "data_charts": sections.data_charts(material),
        "rejected": _rejected(material.rejected),
        "training": material.training,
        "learning_charts": sections.learning_charts(material),
        "whole": whole(material),
        "features": TITLES,
        "slices": _by_feature(slices),
        "slice_charts": {}
        if rmse is None
        else sections.slice_charts(slices, "RMSE", rmse, lower_is_better=True),
        "ranking_slices": _by_feature(by_ndcg),
        "ranking_slice_charts": {}
        if summary.ranking is None
        else sections.slice_charts(
            by_ndcg, "NDCG@10", summary.ranking.ndcg_at_10, lower_is_better=False
        ),
        "error_charts": sections.error_charts(material),
        "curve": curve,
        "ranked": _ranked(material) if curve else None,
        "ranking_charts": sections.ranking_charts(curve) if curve else [],
        "lists": lists.reported_lists(material),
        "time_chart": sections.time_chart(summary.seconds) if summary.seconds else None,
        "sample_users": lists.sample_users(material),
        "sampled": _sampled(material),
        "terms": TERMS if material.config.data.dataset in FETCHED else None,
    }


def _by_feature(slices: Sequence[_Slice]) -> dict[str, list[_Slice]]:
    """Returns the slices of each feature."""
    return {
        feature: [one for one in slices if one.feature == feature]
        for feature in dict.fromkeys(one.feature for one in slices)
    }


def _ranked(material: Material) -> dict[str, int]:
    """Returns how many liked ratings there are, and how many of them are ranked."""
    return {
        "measured": len(sections.liked_pairs(material)[0]),
        "liked": int(sections.is_liked(material).sum()),
    }


def _rejected(path: str) -> list[dict[str, str]]:
    """Returns the first rejected rows."""
    with fileio.open(path, "r") as file:
        return list(itertools.islice(csv.DictReader(file), _REJECTED_SHOWN))


def _sampled(material: Material) -> list[str]:
    """Returns what is measured on a part of the ratings or users, in words."""
    rows = material.summary.rows
    return [
        f"{len(read):,} of {getattr(rows, split):,} ratings of {split}, the first ones of files "
        "at equal distances"
        for split, read in ((features.TRAIN, material.train), (features.HOLDOUT, material.holdout))
        if len(read) < getattr(rows, split)
    ]
