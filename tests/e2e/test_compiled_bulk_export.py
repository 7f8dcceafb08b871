"""The bulk export as a step of a compiled job, run as a whole."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import bulk_export
from serving.pushed_model import PushedModel
from tests.e2e import commands
from tests.e2e.pipeline_runs import SMALL
from tests.movierec.cli.command import COMMAND

pytestmark = pytest.mark.slow

BUCKET = "gs://bucket"
K = 3
SETTINGS = (
    *SMALL,
    "bulk_export.recommendations=true",
    "bulk_export.vectors=true",
    f"bulk_export.k={K}",
)


def movierec(*arguments: str) -> str:
    result = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("target", "options"), [("kfp", ("--platform-version", "2.17.0")), ("vertex", ())]
)
def test_a_compiled_job_exports_what_the_model_that_it_pushed_answers(
    target: str, options: tuple[str, ...], cut: Path, tmp_path: Path
) -> None:
    job = tmp_path / ("job.yaml" if target == "kfp" else "job.json")
    workspace = tmp_path / "workspace"
    movierec(
        *("compile", "--target", target, "--image", "registry.example/movierec:1"),
        *("--pipeline-root", f"{BUCKET}/root", "-o", str(job), "--data", f"{BUCKET}/ratings"),
        *commands.settings(*SETTINGS),
    )
    run = ("run-compiled", str(job), "--workspace", str(workspace), "--jobs", "2", "--json")
    summary = json.loads(movierec(*run, "--map", f"{BUCKET}/ratings={cut}", *options))
    (listed,) = workspace.glob("runs/*/tasks.json")
    task = json.loads(listed.read_text())["bulk-export"]
    exported = Path(task["artifacts"]["bulk_export"]["uri"])
    assert summary["bulk_export"] == str(exported)

    pushed = Path(summary["pushed_model"])
    described = json.loads(
        (exported / "recommendations" / bulk_export.DESCRIPTION_FILE).read_text()
    )
    assert described["version"] == pushed.name
    rows = pq.read_table(exported / "recommendations").to_pylist()
    users = sorted({row["user_id"] for row in rows})
    ratings = (cut / "ratings.csv").read_text().splitlines()[1:]
    assert set(users) <= {line.split(",")[0] for line in ratings}
    chosen = np.random.default_rng(0).choice(users, 20, replace=False)
    answers = PushedModel(pushed).recommendations(list(chosen), K)
    for user, movies in zip(chosen, answers.movie_ids, strict=True):
        mine = sorted((row["rank"], row["movie_id"]) for row in rows if row["user_id"] == user)
        # Who has rated nearly all movies has fewer left.
        expected = [movie.decode() for movie in movies if movie]
        assert mine == list(enumerate(expected, start=1))
    vectors = pq.read_table(exported / "vectors" / "users")
    assert sorted(vectors["user_id"].to_pylist()) == users
