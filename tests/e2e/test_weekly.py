"""Runs on ratings that come week by week, each from the weights of the last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.movielens_example_gen import report
from models.export.saved_model import TRAINING_WEIGHTS_FILE
from tests.e2e.pipeline_runs import LET_THROUGH, SMALL, run

pytestmark = pytest.mark.slow

WEEKS = ("2026-11-08", "2026-11-15", "2026-11-22")
SETTINGS = (
    *SMALL,
    *LET_THROUGH,
    "training.warm_start=true",
    "gate.max_baseline_shift=9",
    "drift.max_rating_divergence=1",
    "drift.max_genre_shift=1",
    "drift.max_activity_shift=9",
    "drift.max_time_shift_days=9999",
)


@pytest.fixture(scope="module")
def weeks(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cut of the ratings in three folders."""
    folder = tmp_path_factory.mktemp("weeks")
    header, *rows = (cut / "ratings.csv").read_text().splitlines()
    rows.sort(key=lambda row: int(row.rpartition(",")[2]))
    for number, name in enumerate(WEEKS):
        part = rows[len(rows) * number // 3 : len(rows) * (number + 1) // 3]
        (folder / name).mkdir()
        (folder / name / "ratings.csv").write_text("\n".join([header, *part]) + "\n")
        shutil.copy(cut / "movies.csv", folder / name)
    return folder


def test_each_week_starts_from_the_last_and_an_unchanged_one_from_the_cache(
    weeks: Path, tmp_path: Path
) -> None:
    data, workspace = tmp_path / "data", tmp_path / "workspace"
    pattern = data / "{YYYY}-{MM}-{DD}"
    for name in WEEKS[:2]:
        shutil.copytree(weeks / name, data / name)
    first = run(workspace, pattern, *SETTINGS)
    assert first.warm_start == "cold, no earlier model of other ratings keeps its weights"
    assert first.recognised.startswith("csv, 2 spans 2026-11-08 to 2026-11-15")
    assert (Path(str(first.pushed_model)) / TRAINING_WEIGHTS_FILE).exists()

    shutil.copytree(weeks / WEEKS[2], data / WEEKS[2])
    second = run(workspace, pattern, *SETTINGS)
    assert second.warm_start is not None
    assert second.warm_start.startswith("warm, ")
    assert second.rows.read == 5_000
    assert second.best_epoch <= 4
    counted = json.loads((Path(second.examples) / report.REPORT_FILE).read_text())
    assert [span["name"] for span in counted["spans"]] == list(WEEKS)
    assert sum(span["accepted"] for span in counted["spans"]) == 5_000

    # Its own model is the newest now, and yet it starts from the one before.
    again = run(workspace, pattern, *SETTINGS)
    assert "Trainer" in again.cached
    assert again.rmse == second.rmse

    changed = run(workspace, pattern, *SETTINGS, "model.dimension=9")
    assert changed.warm_start == "cold, the options of the last model differ"

    window = run(workspace, pattern, *SETTINGS, "data.window=2", "drift.max_shrink=1")
    assert window.rows.read == 5_000 - 5_000 // 3
    assert window.recognised.startswith("csv, 2 spans 2026-11-15 to 2026-11-22")
