"""A compiled job with a golden set, run as a whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from components.drift.report import NAMES
from components.gate.limits import BASELINE_MOVE
from components.gate.release import RECORD_FILE
from components.movielens_example_gen import report
from serving.pushed_model import PushedModel
from serving.versions import versions
from tests.e2e import commands
from tests.e2e.pipeline_runs import LET_THROUGH, ROWS, SMALL
from tests.movierec.cli.command import COMMAND

pytestmark = pytest.mark.slow

BUCKET = "gs://bucket"
GOLDEN_ROWS = 500
# Only the golden set speaks against the model of the poisoned week.
SETTINGS = (*SMALL, *LET_THROUGH, "gate.max_rmse=9", "gate.min_gain_over_biases=-9")


def movierec(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("target", "options"), [("kfp", ("--platform-version", "2.17.0")), ("vertex", ())]
)
def test_a_golden_set_judges_in_a_compiled_job(
    target: str, options: tuple[str, ...], cut: Path, tmp_path: Path
) -> None:
    """A first job pushes; the second, on poison that is accepted everywhere else, is refused."""
    data, trusted, workspace = (tmp_path / name for name in ("data", "trusted", "workspace"))
    shutil.copytree(cut, data)
    ratings = pyarrow.csv.read_csv(data / "ratings.csv")
    chosen = np.random.default_rng(0).choice(ratings.num_rows, GOLDEN_ROWS, replace=False)
    golden = ratings.take(np.sort(chosen))
    trusted.mkdir()
    pyarrow.csv.write_csv(golden, trusted / "ratings.csv")

    job = tmp_path / ("job.yaml" if target == "kfp" else "job.json")
    compiled = movierec(
        *("compile", "--target", target, "--image", "registry.example/movierec:1"),
        *("--pipeline-root", f"{BUCKET}/root", "-o", str(job)),
        *("--data", f"{BUCKET}/ratings", "--golden-set", f"{BUCKET}/trusted"),
        *commands.settings(*SETTINGS),
    )
    assert compiled.returncode == 0, compiled.stderr

    def run(*others: str) -> subprocess.CompletedProcess[str]:
        return movierec(
            *("run-compiled", str(job), "--workspace", str(workspace), "--jobs", "2", "--json"),
            *("--map", f"{BUCKET}/ratings={data}", "--map", f"{BUCKET}/trusted={trusted}"),
            *options,
            *others,
        )

    first = run()
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    counted = report.IngestReport.model_validate_json(
        (Path(summary["examples"]) / report.REPORT_FILE).read_text()
    )
    assert (counted.golden, counted.withheld) == (GOLDEN_ROWS, GOLDEN_ROWS)
    assert sum(counted.splits.values()) == ROWS - GOLDEN_ROWS
    pushed = Path(summary["pushed_model"])
    record = json.loads((pushed / RECORD_FILE).read_text())["golden"]
    model = PushedModel(pushed)
    users, movies = (
        np.array([str(value).encode() for value in golden[name].to_pylist()], object)
        for name in ("userId", "movieId")
    )
    errors = model.predict(users, movies).astype(np.float64) - golden["rating"].to_numpy()
    assert record["ratings"] == GOLDEN_ROWS
    assert record["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), abs=1e-5)

    flipped = ratings.set_column(
        ratings.column_names.index("rating"),
        "rating",
        pc.subtract(6, ratings["rating"]),
    )
    pyarrow.csv.write_csv(flipped, data / "ratings.csv")
    stopped = run()
    assert stopped.returncode == 1
    assert "drift-validator: " in stopped.stderr
    second = run("--parameter", f"accept_drift={','.join((*NAMES, BASELINE_MOVE))}")
    assert second.returncode == 2, second.stderr
    summary = json.loads(second.stdout)
    assert summary["pushed_model"] is None
    assert not summary["gate"]["blessed"]
    assert "on the golden set is " in summary["gate"]["reason"]
    assert [str(version) for version in versions(pushed.parent)] == [str(pushed)]
