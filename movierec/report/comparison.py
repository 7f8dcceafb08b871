"""The comparison of two runs: what differs, and whether the second model is better."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from components.gate.interval import Interval
from models.export.saved_model import COMPARISON_GROUP_FILE
from models.ranking import CUTOFF, figures_by_user
from movierec.report import changes
from movierec.report.changes import Change
from movierec.report.material import Material, collect, exported_model
from movierec.report.page import environment
from movierec.report.sections import liked_pairs
from movierec.report.slices import CONFIDENCE, TITLES, SliceFigures, rating_slices, whole
from pipeline.summary import Summary
from pipeline.workspace import Workspace

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        before: Summary of the first run.
        now: Summary of the second run.
        changes: What differs, by kind.
        paired: Change of each figure on the holdout of the second run, by name, with its interval.
        slices: Slices of that holdout; those that moved say so.
        why_not_paired: Reason why the models cannot be compared on one holdout; empty if they can.
    """

    before: Summary
    now: Summary
    changes: dict[str, list[Change]]
    paired: dict[str, Interval]
    slices: list[SliceFigures]
    why_not_paired: str = ""

    @property
    def moved(self) -> list[SliceFigures]:
        """Slices whose interval of the change leaves out zero."""
        return [one for one in self.slices if one.moved]


def compare(workspace: Workspace, before: Summary, now: Summary) -> Comparison:
    """Compares two runs of a workspace.

    Raises:
        OSError: An output of a run is gone.
        UnreadableModelError: A model cannot be loaded.
    """
    differing = changes.between(workspace, before, now)
    groups = [
        (exported_model(workspace, run) / COMPARISON_GROUP_FILE).read_text(encoding="utf-8")
        for run in (before, now)
    ]
    if groups[0] != groups[1]:
        # The first model may have been trained on the second one's holdout.
        reason = "the runs differ in dataset, split or kind of model, so each has its own holdout"
        return Comparison(before, now, differing, {}, [], reason)
    material = collect(workspace, now, before)
    overall = whole(material)
    paired = _ranking_changes(material)
    if overall is not None and overall.change is not None:
        paired = {"RMSE": overall.change, **paired}
    return Comparison(before, now, differing, paired, rating_slices(material))


def render(comparison: Comparison) -> str:
    """Returns the comparison as one HTML page that needs no other file."""
    template = environment().get_template("comparison.html")
    return template.render(comparison=comparison, features=TITLES)


def mean_difference(now: Vector, before: Vector) -> Interval:
    """Returns the interval of the mean of paired differences, by their standard error.

    Args:
        now: Figure of each user by the second model, float64 `[users]`.
        before: Figure of the same users by the first model.
    """
    differences = now - before
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    margin = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    mean = float(differences.mean())
    return Interval(
        confidence=CONFIDENCE,
        difference=mean,
        low=float(mean - margin),
        high=float(mean + margin),
    )


def _ranking_changes(material: Material) -> dict[str, Interval]:
    last = material.last_model
    if last is None or not last.retrieves or not material.model.retrieves:
        return {}
    users, movies = liked_pairs(material)
    if len(np.unique(users)) < 2:  # noqa: PLR2004 - one user has no spread
        return {}
    by_model = [
        figures_by_user(users, model.ranks(users, movies)[0]) for model in (material.model, last)
    ]
    names = (f"NDCG@{CUTOFF}", f"Recall@{CUTOFF}")
    return {
        name: mean_difference(now, before)
        for name, now, before in zip(names, *by_model, strict=True)
    }
